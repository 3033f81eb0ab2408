/** Who attended a meeting, as a table to keep. */
import { durationMs, timestampDate } from "@bufbuild/protobuf/wkt";
import { reports } from "../api/client";
import { csv } from "../call/csv";
import { save } from "./save";

const PAGE = 500;
const MINUTE_MS = 60_000;

/** Read who attended `meetings/{code}`, and give it as a file whose columns have these titles. */
export async function downloadAttendance(meeting: string, titles: readonly string[]): Promise<void> {
  const rows: string[][] = [];
  let pageToken = "";
  do {
    const page = await reports.listAttendances({ parent: meeting, pageSize: PAGE, pageToken });
    for (const { displayName, firstJoinTime, lastLeaveTime, duration, visitCount } of page.attendances) {
      const times = [firstJoinTime, lastLeaveTime].map((time) => (time === undefined ? "" : timestampDate(time).toISOString()));
      const minutes = duration === undefined ? 0 : Math.round(durationMs(duration) / MINUTE_MS);
      rows.push([displayName, ...times, String(minutes), String(visitCount)]);
    }
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  save(new Blob([csv([titles, ...rows])], { type: "text/csv" }), `${meeting.replace("meetings/", "")}-attendance.csv`);
}
