/** Captions over the stage, and how each viewer wants them. */
import { useEffect, useState, useSyncExternalStore } from "react";
import type { Call, CallState } from "../call/call";
import { type Line, shown, split, textIn, untilOlder } from "../call/captions";
import { nameOf } from "../call/room";
import { useI18n } from "../i18n";
import { ControlButton, Menu } from "./parts";
import { useRemembered } from "./remembered";

const SIZES = ["small", "medium", "large"] as const;

/** How one viewer wants captions. */
export interface Taste {
  readonly on: boolean;
  readonly size: (typeof SIZES)[number];
  /** As BCP 47; empty: as it is spoken. */
  readonly language: string;
  setOn(on: boolean): void;
  setSize(size: Taste["size"]): void;
  setLanguage(language: string): void;
}

export function useTaste(): Taste {
  const [on, setOn] = useRemembered("captions", "on", ["on", "off"]);
  const [size, setSize] = useRemembered("captions_size", "medium", SIZES);
  const [language, setLanguage] = useRemembered<string>("captions_language", "");
  return { on: on === "on", size, language, setOn: (wanted) => setOn(wanted ? "on" : "off"), setSize, setLanguage };
}

/** The newest lines; those who don't see them are told the final ones. */
export function Captions({ call, state, taste }: { call: Call; state: CallState; taste: Taste }) {
  const { lines } = useSyncExternalStore(call.heard.subscribe, call.heard.snapshot);
  const seen = useShown(lines);
  const spoken = lines.filter(({ isFinal }) => isFinal).at(-1);
  return (
    <>
      <div className={`captions ${taste.size}`} aria-hidden="true">
        {seen.map((line) => (
          <p key={line.key} className={line.isFading ? "fading" : ""}>
            <strong>{nameOf(state, line.participant)}</strong> <Words line={line} language={taste.language} />
          </p>
        ))}
      </div>
      <p className="unseen" aria-live="polite">
        {spoken !== undefined && (
          <span key={spoken.key}>{`${nameOf(state, spoken.participant)}: ${textIn(spoken, taste.language)}`}</span>
        )}
      </p>
    </>
  );
}

function Words({ line, language }: { line: Line; language: string }) {
  if (line.isFinal) return <span lang={language || undefined}>{textIn(line, language)}</span>;
  const { stable, guess } = split(line);
  return (
    <span>
      {stable}
      <span className="guess">{guess}</span>
    </span>
  );
}

/** The lines to show, which grow older by themselves. */
function useShown(lines: readonly Line[]) {
  const [now, setNow] = useState(Date.now);
  const last = lines.reduce((latest, { changed }) => Math.max(latest, changed), 0);
  const seen = shown(lines, Math.max(now, last));
  const left = untilOlder(seen, Math.max(now, last));
  useEffect(() => {
    if (left === undefined) return undefined;
    const timer = setTimeout(() => setNow(Date.now()), left);
    return () => clearTimeout(timer);
  }, [left, last]);
  return seen;
}

interface MenuProps {
  state: CallState;
  taste: Taste;
  isEncrypted: boolean;
  /** Given to those who may turn captions on. */
  turnOn: (() => void) | undefined;
}

/** The button that tells how captions are shown, and lets each viewer choose. */
export function CaptionsMenu({ state, taste, isEncrypted, turnOn }: MenuProps) {
  const { t } = useI18n();
  const [isOpen, setOpen] = useState(false);
  const isOn = state.settings?.captions === true;
  return (
    <Menu close={() => setOpen(false)}>
      <ControlButton
        icon={isOn && taste.on ? "captions" : "captionsOff"}
        label={t("captions")}
        shortcut="C"
        expanded={isOpen}
        onClick={() => setOpen(!isOpen)}
      />
      {isOpen && (
        <div className="card" role="group" aria-label={t("captions")} tabIndex={-1}>
          {isOn ? (
            <Choices taste={taste} languages={state.settings.translationLanguageCodes} />
          ) : (
            <>
              <p>{t(isEncrypted ? "captionsEncrypted" : "captionsOff")}</p>
              {turnOn !== undefined && !isEncrypted && (
                <button type="button" className="primary" onClick={turnOn}>
                  {t("captionsTurnOn")}
                </button>
              )}
            </>
          )}
        </div>
      )}
    </Menu>
  );
}

function Choices({ taste, languages }: { taste: Taste; languages: readonly string[] }) {
  const { t, language } = useI18n();
  return (
    <>
      <label className="checkbox">
        <input type="checkbox" checked={taste.on} onChange={(event) => taste.setOn(event.target.checked)} />
        <span>{t("captionsShow")}</span>
      </label>
      <span className="choice" role="group" aria-label={t("captionsSize")}>
        {SIZES.map((size) => (
          <button key={size} type="button" aria-pressed={taste.size === size} onClick={() => taste.setSize(size)}>
            {t(`captionsSize.${size}`)}
          </button>
        ))}
      </span>
      {languages.length > 0 && (
        <label className="field">
          <span>{t("captionsLanguage")}</span>
          <select
            value={languages.includes(taste.language) ? taste.language : ""}
            onChange={(event) => taste.setLanguage(event.target.value)}
          >
            <option value="">{t("captionsSpoken")}</option>
            {languages.map((code) => (
              <option key={code} value={code}>
                {languageName(code, language)}
              </option>
            ))}
          </select>
        </label>
      )}
    </>
  );
}

/** What a language is called in another. */
export function languageName(code: string, language: string): string {
  try {
    return new Intl.DisplayNames([language], { type: "language" }).of(code) ?? code;
  } catch {
    return code; // what is no BCP 47 tag has no name
  }
}
