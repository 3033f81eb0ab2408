/** Lists that follow what is added to their end, unless one reads further up. */
import { type RefObject, useEffect, useLayoutEffect, useState } from "react";

/** How far from its end a list may be and still be at its end. */
const SLACK_PX = 32;

/** Whether a list is at its end, where it then stays when something comes; and how to go there. */
export function useFollowing(list: RefObject<HTMLElement | null>) {
  const [isFollowing, setFollowing] = useState(true);
  useEffect(() => {
    const { current } = list;
    if (current === null) return undefined;
    let before = current.scrollTop;
    const scrolled = () => {
      const isAtEnd = current.scrollHeight - current.scrollTop - current.clientHeight < SLACK_PX;
      if (isAtEnd) setFollowing(true);
      else if (current.scrollTop < before) setFollowing(false); // not for what has come since: that is no reader's doing
      before = current.scrollTop;
    };
    current.addEventListener("scroll", scrolled);
    return () => current.removeEventListener("scroll", scrolled);
  }, [list]);
  useLayoutEffect(() => {
    if (isFollowing) list.current?.scrollTo({ top: list.current.scrollHeight });
  });
  return { isFollowing, follow: () => setFollowing(true) };
}
