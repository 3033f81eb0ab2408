/** Who comes in by themselves, and muted, shows a screen and writes in a meeting's chat, as its hosts choose: each takes effect at once. */
import { useState } from "react";
import { settings as service } from "../api/client";
import { ChatPolicy, type Settings } from "../gen/parley/meeting/v1/settings_pb";
import { useI18n } from "../i18n";
import { Checkbox, Problem } from "./parts";

const POLICIES = [
  { policy: ChatPolicy.EVERYONE, label: "setChat.everyone" },
  { policy: ChatPolicy.PUBLIC, label: "setChat.public" },
  { policy: ChatPolicy.HOSTS, label: "setChat.hosts" },
  { policy: ChatPolicy.OFF, label: "setChat.off" },
] as const;

type Policy = "chatPolicy" | "lobby" | "muteOnEntry" | "screenSharingAllowed";

export function Policies({ settings, changed }: { settings: Settings; changed: (settings: Settings) => void }) {
  const { t, explain } = useI18n();
  const [problem, setProblem] = useState("");
  const update = (path: string, change: Partial<Pick<Settings, Policy>>) => {
    setProblem("");
    service
      .updateSettings({ settings: { name: settings.name, ...change }, updateMask: { paths: [path] } })
      .then(changed, (error: unknown) => setProblem(explain(error)));
  };
  return (
    <div className="policies">
      <Checkbox
        name="lobby"
        label={t("setLobby")}
        checked={settings.lobby}
        onChange={(event) => update("lobby", { lobby: event.target.checked })}
      />
      <Checkbox
        name="muted"
        label={t("setMuted")}
        checked={settings.muteOnEntry}
        onChange={(event) => update("mute_on_entry", { muteOnEntry: event.target.checked })}
      />
      <Checkbox
        name="screens"
        label={t("setScreens")}
        checked={settings.screenSharingAllowed !== false}
        onChange={(event) => update("screen_sharing_allowed", { screenSharingAllowed: event.target.checked })}
      />
      <label className="field">
        <span>{t("setChat")}</span>
        <select
          value={settings.chatPolicy === ChatPolicy.UNSPECIFIED ? ChatPolicy.EVERYONE : settings.chatPolicy}
          onChange={(event) =>
            update("chat_policy", { chatPolicy: POLICIES[event.target.selectedIndex]?.policy ?? ChatPolicy.EVERYONE })
          }
        >
          {POLICIES.map(({ policy, label }) => (
            <option key={policy} value={policy}>
              {t(label)}
            </option>
          ))}
        </select>
      </label>
      <Problem text={problem} />
    </div>
  );
}
