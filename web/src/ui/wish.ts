/** Wishes for a video track the size at which an element shows it, for as long as any of it can be seen. */
import { type RefObject, useEffect, useRef } from "react";
import type { Wishes } from "../call/wishes";

/** Observe an element for a track (none: nothing is wished). `priority` is 0 to 100. */
export function useWish(
  wishes: Wishes,
  trackId: string | undefined,
  priority: number,
): RefObject<HTMLLIElement | null> {
  const place = useRef<HTMLLIElement>(null);
  useEffect(() => {
    const element = place.current;
    if (element === null || trackId === undefined) return undefined;
    let isSeen = false;
    const wish = () => {
      const { clientWidth, clientHeight } = element;
      const size = { width: clientWidth * devicePixelRatio, height: clientHeight * devicePixelRatio };
      if (isSeen && clientWidth > 0 && clientHeight > 0) wishes.show(trackId, { ...size, priority });
      else wishes.hide(trackId);
    };
    const resized = new ResizeObserver(wish);
    const crossed = new IntersectionObserver((entries) => {
      isSeen = entries.at(-1)?.isIntersecting ?? false;
      wish();
    });
    resized.observe(element);
    crossed.observe(element);
    return () => {
      resized.disconnect();
      crossed.disconnect();
      wishes.hide(trackId);
    };
  }, [wishes, trackId, priority]);
  return place;
}
