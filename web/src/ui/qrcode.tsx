/** A QR code, dark on white in every theme, since scanners want it so. */
import qrcode from "qrcode-generator";
import { useMemo } from "react";

/** Modules of white that ISO/IEC 18004 wants around the code. */
const MARGIN = 4;

interface QrCodeProps {
  label: string;
  /** ASCII, such as an address. */
  text: string;
}

export function QrCode({ label, text }: QrCodeProps) {
  const [side, path] = useMemo(() => drawn(text), [text]);
  return (
    <svg className="qrcode" role="img" aria-label={label} viewBox={`0 0 ${side} ${side}`} shapeRendering="crispEdges">
      <rect width={side} height={side} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}

/** How many modules wide it is with its margin, and a path over the dark ones. */
function drawn(text: string): [side: number, path: string] {
  const code = qrcode(0, "M");
  code.addData(text);
  code.make();
  const count = code.getModuleCount();
  const numbers = [...Array(count).keys()];
  const row = (y: number) => numbers.filter((x) => code.isDark(y, x)).map((x) => `M${x + MARGIN} ${y + MARGIN}h1v1h-1z`);
  return [count + 2 * MARGIN, numbers.flatMap(row).join("")];
}
