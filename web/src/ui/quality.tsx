/** How good somebody's connection is, as three bars, and in words for those who don't see them. */
import { ConnectionQuality } from "../gen/parley/signaling/v1/signaling_pb";
import { useI18n } from "../i18n";

const LEVELS = {
  [ConnectionQuality.EXCELLENT]: { bars: 3, key: "qualityExcellent" },
  [ConnectionQuality.GOOD]: { bars: 2, key: "qualityGood" },
  [ConnectionQuality.POOR]: { bars: 1, key: "qualityPoor" },
  [ConnectionQuality.LOST]: { bars: 0, key: "qualityLost" },
} as const;
const HEIGHTS = [6, 11, 16];

export function Bars({ quality }: { quality: ConnectionQuality | undefined }) {
  const { t } = useI18n();
  if (quality === undefined || quality === ConnectionQuality.UNSPECIFIED) return null;
  const { bars, key } = LEVELS[quality];
  return (
    <svg className={`bars of-${bars}`} viewBox="0 0 18 18" role="img" aria-label={t(key)}>
      {HEIGHTS.map((height, index) => (
        <rect
          key={height}
          className={index < bars ? "on" : ""}
          x={1 + 6 * index}
          y={17 - height}
          width="4"
          height={height}
          rx="1.2"
        />
      ))}
    </svg>
  );
}
