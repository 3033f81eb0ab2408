/** The picture of somebody who is shown. */
import { useEffect, useState } from "react";
import { pictures } from "../api/client";

/** The address of a picture of `users/{id}`; empty until it has come, and for who has none: guests too. */
export function usePictureOf(user: string): string {
  const [known, setKnown] = useState({ user: "", picture: "" });
  useEffect(() => {
    if (user === "") return undefined;
    let isOver = false;
    void pictures.of(user).then((picture) => {
      if (!isOver) setKnown({ user, picture });
    });
    return () => {
      isOver = true;
    };
  }, [user]);
  return known.user === user ? known.picture : "";
}
