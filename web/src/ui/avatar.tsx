/** One's own picture. */
import { type ChangeEvent, useEffect, useState } from "react";
import { accounts, pictures } from "../api/client";
import { reasonOf } from "../api/errors";
import { useI18n } from "../i18n";
import { Problem } from "./parts";

const NAME = "users/me";
const TYPES = "image/png,image/jpeg,image/webp";

export function AvatarCard() {
  const { t, explain } = useI18n();
  const [times, setTimes] = useState(0);
  const [problem, setProblem] = useState("");
  const picture = usePicture(times, (error) => setProblem(explain(error)));
  const change = async (work: Promise<unknown>) => {
    setProblem("");
    try {
      await work;
      pictures.forgetAll();
      setTimes((before) => before + 1);
    } catch (error) {
      setProblem(explain(error));
    }
  };
  const choose = async (event: ChangeEvent<HTMLInputElement>) => {
    const input = event.target;
    const file = input.files?.[0];
    if (file === undefined) return;
    const data = new Uint8Array(await file.arrayBuffer());
    await change(accounts.setAvatar({ name: NAME, image: { contentType: file.type, data } }));
    // So that the same file can be chosen again.
    input.value = "";
  };
  return (
    <section className="card" aria-label={t("avatar")}>
      <h2>{t("avatar")}</h2>
      {picture === "" ? <p className="faint">{t("avatarNone")}</p> : <img className="avatar" src={picture} alt={t("avatar")} />}
      <label className="field">
        <span>{t("avatarChoose")}</span>
        <input type="file" accept={TYPES} onChange={choose} />
        <small>{t("avatarHint")}</small>
      </label>
      <Problem text={problem} />
      {picture !== "" && (
        <p>
          <button type="button" className="link" onClick={() => change(accounts.deleteAvatar({ name: NAME }))}>
            {t("avatarRemove")}
          </button>
        </p>
      )}
    </section>
  );
}

/** The address of one's picture, read anew whenever `times` is another; empty where there is none. */
function usePicture(times: number, failed: (error: unknown) => void): string {
  const [picture, setPicture] = useState("");
  useEffect(() => {
    const made: string[] = [];
    let isOver = false;
    accounts.getAvatar({ name: NAME }).then(
      ({ contentType, data }) => {
        if (isOver) return;
        made.push(URL.createObjectURL(new Blob([data as BlobPart], { type: contentType })));
        setPicture(made[0] ?? "");
      },
      (error: unknown) => {
        if (reasonOf(error) === "AVATAR_NOT_FOUND") setPicture("");
        else failed(error);
      },
    );
    return () => {
      isOver = true;
      made.forEach((address) => URL.revokeObjectURL(address));
    };
  }, [times]);
  return picture;
}
