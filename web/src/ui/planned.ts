/** A meeting with when it is and who comes in, as pages need it. */
import { useCallback, useEffect, useState } from "react";
import { meetings, schedules, settings as service } from "../api/client";
import { reasonOf } from "../api/errors";
import type { Meeting } from "../gen/parley/meeting/v1/meeting_pb";
import type { Schedule } from "../gen/parley/meeting/v1/schedule_pb";
import type { Settings } from "../gen/parley/meeting/v1/settings_pb";
import { useI18n } from "../i18n";

export interface Planned {
  readonly meeting: Meeting;
  readonly settings: Settings;
  /** Undefined where the meeting is for no time. */
  readonly schedule: Schedule | undefined;
}

export function usePlanned(code: string): { planned: Planned | undefined; problem: string; reload: () => Promise<void> } {
  const { explain } = useI18n();
  const [planned, setPlanned] = useState<Planned>();
  const [problem, setProblem] = useState("");
  const reload = useCallback(async () => {
    const name = `meetings/${code}`;
    try {
      const [meeting, settings, schedule] = await Promise.all([
        meetings.getMeeting({ name }),
        service.getSettings({ name: `${name}/settings` }),
        schedules.getSchedule({ name: `${name}/schedule` }).catch(unlessUntimed),
      ]);
      setPlanned({ meeting, settings, schedule });
      setProblem("");
    } catch (error) {
      setProblem(explain(error));
    }
  }, [code, explain]);
  useEffect(() => void reload(), [reload]);
  return { planned, problem, reload };
}

function unlessUntimed(error: unknown): undefined {
  if (reasonOf(error) !== "NOT_SCHEDULED") throw error;
}
