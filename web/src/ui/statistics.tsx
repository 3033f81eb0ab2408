/** What the connections carry, stream by stream, once a second: for those who want to know. */
import { useEffect, useState } from "react";
import type { Call, CallState } from "../call/call";
import { sourceOf } from "../call/sources";
import { Meter, type Row } from "../call/stats";
import { useI18n } from "../i18n";
import { Panel } from "./parts";

const EVERY_MS = 1_000;

export function Statistics({ call, state, close }: { call: Call; state: CallState; close: () => void }) {
  const { t } = useI18n();
  const rows = useRows(call);
  return (
    <Panel kind="statistics" label={t("statistics")} close={close}>
      <div className="scrolling">
        <table>
          <thead>
            <tr>
              <th scope="col">{t("statTrack")}</th>
              <th scope="col">{t("statCodec")}</th>
              <th scope="col">{t("statPicture")}</th>
              <th scope="col">kbit/s</th>
              <th scope="col">{t("statLoss")}</th>
              <th scope="col">{t("statJitter")}</th>
              <th scope="col">{t("statRtt")}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Line key={row.key} row={row} call={call} state={state} />
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function Line({ row, call, state }: { row: Row; call: Call; state: CallState }) {
  const { t } = useI18n();
  const { who, source, rid } = describe(row, call, state);
  return (
    <tr>
      <th scope="row">
        <span aria-label={t(row.direction)}>{row.direction === "sent" ? "↑" : "↓"}</span> {who ?? t("you")}
        {source !== undefined && ` · ${t(`source.${source}`)}`}
        {rid !== "" && ` · ${rid}`}
      </th>
      <td>{row.codec}</td>
      <td>{row.width > 0 && `${row.width}×${row.height} · ${row.fps}/s`}</td>
      <td>{Math.round(row.bitrateBps / 1000)}</td>
      <td>{(row.loss * 100).toFixed(1)} %</td>
      <td>{row.jitterMs ?? "–"}</td>
      <td>{row.rttMs ?? "–"}</td>
    </tr>
  );
}

/** Whose stream a row is, by the track that it carries. */
function describe(row: Row, call: Call, state: CallState) {
  if (row.direction === "sent") return { who: undefined, source: call.ownSource(row.trackIdentifier), rid: row.rid };
  const id = [...state.received].find(([, track]) => track.id === row.trackIdentifier)?.[0];
  const track = state.tracks.find((each) => each.id === id);
  const participant = state.participants.find(({ name }) => name === track?.participant);
  return {
    who: participant?.displayName ?? "?",
    source: track === undefined ? undefined : sourceOf(track),
    rid: state.deliveries.get(id ?? "")?.rid ?? "",
  };
}

function useRows(call: Call): readonly Row[] {
  const [rows, setRows] = useState<readonly Row[]>([]);
  useEffect(() => {
    const meter = new Meter();
    const read = () => {
      call.getStats().then(
        (reports) => setRows(meter.read(reports)),
        () => undefined,
      );
    };
    read();
    const timer = setInterval(read, EVERY_MS);
    return () => clearInterval(timer);
  }, [call]);
  return rows;
}
