/** Small parts that several pages are made of. */
import { type ChangeEvent, type KeyboardEvent, type ReactNode, type SubmitEvent, type SyntheticEvent, useEffect, useLayoutEffect, useRef, useState } from "react";
import { useI18n } from "../i18n";
import { Icon, type IconName } from "./icons";

interface FieldProps {
  label: string;
  name: string;
  type?: string;
  value?: string;
  hint?: string;
  autoComplete?: string;
  required?: boolean;
  pattern?: string;
  min?: number;
  max?: number;
  minLength?: number;
  maxLength?: number;
  placeholder?: string;
  /** For pages that ask for one thing. */
  autoFocus?: boolean;
}

export function Field({ label, hint, value, ...input }: FieldProps) {
  return (
    <label className="field">
      <span>{label}</span>
      <input {...input} title={hint} defaultValue={value} spellCheck={false} />
      {hint !== undefined && <small>{hint}</small>}
    </label>
  );
}

/** A password that somebody makes up. */
export function NewPassword({ label, name }: { label: string; name: string }) {
  const { t } = useI18n();
  return (
    <Field
      label={label}
      name={name}
      type="password"
      autoComplete="new-password"
      hint={t("passwordHint")}
      required
      minLength={8}
      maxLength={128}
    />
  );
}

interface CheckboxProps {
  label: string;
  name: string;
  hint?: string;
  disabled?: boolean;
  defaultChecked?: boolean;
  checked?: boolean;
  onChange?: (event: ChangeEvent<HTMLInputElement>) => void;
}

export function Checkbox({ label, hint, ...input }: CheckboxProps) {
  return (
    <label className="checkbox">
      <input type="checkbox" {...input} />
      <span>
        {label}
        {hint !== undefined && <small>{hint}</small>}
      </span>
    </label>
  );
}

/** What is filled into a form, by the names of its fields; boxes that are not ticked are missing. */
export function valuesIn(form: HTMLFormElement): Record<string, string> {
  return Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, typeof value === "string" ? value : ""]));
}

/** A form that says what went wrong, and does nothing twice at once. */
export function Form({
  submit,
  action,
  danger = false,
  children,
}: {
  submit: (values: Record<string, string>) => Promise<void>;
  action: string;
  /** Whether what it does can't be undone. */
  danger?: boolean;
  children?: ReactNode;
}) {
  const { explain } = useI18n();
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const onSubmit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const values = valuesIn(event.currentTarget);
    setBusy(true);
    setError("");
    try {
      await submit(values);
    } catch (problem) {
      setError(explain(problem));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={onSubmit}>
      {children}
      <Problem text={error} />
      <button className={danger ? "primary danger" : "primary"} disabled={busy}>
        {action}
      </button>
    </form>
  );
}

/** Where the focus goes when a part of a page gives way to another: `ref={takesFocus}` and `tabIndex={-1}`. */
export function takesFocus(element: HTMLElement | null): void {
  element?.focus();
}

export function Problem({ text }: { text: string }) {
  return (
    <p className="problem" role="alert" hidden={text === ""}>
      {text}
    </p>
  );
}

/** A round button of the call, with its keyboard shortcut in the tooltip. */
export function ControlButton({
  icon,
  label,
  badge,
  shortcut,
  off = false,
  expanded,
  pressed,
  danger = false,
  disabled = false,
  onClick,
}: {
  icon: IconName;
  label: string;
  /** A number in the button's corner. */
  badge?: number;
  shortcut?: string;
  /** Whether what the button is for is switched off. */
  off?: boolean;
  /** Whether what the button opens is open. */
  expanded?: boolean;
  /** Whether what the button switches is on. */
  pressed?: boolean;
  danger?: boolean;
  disabled?: boolean;
  onClick: () => void;
}) {
  return (
    <button
      type="button"
      className={danger ? "control danger" : off ? "control off" : "control"}
      aria-label={label}
      aria-expanded={expanded}
      aria-pressed={pressed}
      aria-keyshortcuts={shortcut}
      title={shortcut === undefined ? label : `${label} (${shortcut})`}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
      {badge !== undefined && (
        <span className="badge" aria-hidden="true">
          {badge}
        </span>
      )}
    </button>
  );
}

/** A button with what it opens, which is closed by Escape and when the focus goes elsewhere. */
export function Menu({ close, children }: { close: () => void; children: ReactNode }) {
  return (
    <span
      className="menu"
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.preventDefault();
        close();
      }}
      onBlur={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget)) close();
      }}
    >
      {children}
    </span>
  );
}

/** What is open beside the stage. Escape closes it, and the focus goes back to where it was before. */
export function Panel({ kind, label, close, children }: { kind: string; label: string; close: () => void; children: ReactNode }) {
  const { t } = useI18n();
  const panel = useRef<HTMLElement>(null);
  const [before] = useState(() => document.activeElement);
  useLayoutEffect(() => {
    const { current } = panel;
    return () => {
      if (before instanceof HTMLElement && current?.contains(document.activeElement) === true) before.focus();
    };
  }, [before]);
  return (
    <aside
      ref={panel}
      className={`${kind} card`}
      aria-label={label}
      onKeyDown={(event) => {
        if (!isEscape(event)) return;
        event.preventDefault();
        close();
      }}
    >
      <h2 className="titled">
        {label}
        <button type="button" className="quiet" onClick={close}>
          {t("close")}
        </button>
      </h2>
      {children}
    </aside>
  );
}

/** Whether Escape is meant for the panel: not for a dialog, a search that it empties, or a choice of characters. */
function isEscape(event: KeyboardEvent<HTMLElement>): boolean {
  if (event.key !== "Escape" || event.defaultPrevented || event.nativeEvent.isComposing) return false;
  const { target } = event;
  if (target instanceof HTMLInputElement && target.type === "search" && target.value !== "") return false;
  return target instanceof Element && target.closest("dialog") === null;
}

/** A window over the page that has to be answered or closed first. The focus begins at what is marked by `data-first`. */
export function Dialog({ label, close, children }: { label: string; close: () => void; children: ReactNode }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
    dialog.current?.querySelector<HTMLElement>("[data-first]")?.focus();
  }, []);
  const cancel = (event: SyntheticEvent) => {
    // The browser would close it, but whether it is there is state of the page.
    event.preventDefault();
    close();
  };
  return (
    <dialog ref={dialog} className="card" aria-label={label} onCancel={cancel}>
      {children}
    </dialog>
  );
}

/** Asks before something that can't be undone. */
export function Confirm({ text, action, done }: { text: string; action: string; done: (sure: boolean) => void }) {
  const { t } = useI18n();
  return (
    <Dialog label={text} close={() => done(false)}>
      <p>{text}</p>
      <div className="actions">
        <button type="button" className="primary danger" onClick={() => done(true)}>
          {action}
        </button>
        <button type="button" className="quiet" onClick={() => done(false)}>
          {t("cancel")}
        </button>
      </div>
    </Dialog>
  );
}

/** Plays a track: pictures in place, sound without a trace, unless the browser wants a click first. */
export function Playing({
  track,
  mirrored = false,
  silent = false,
}: {
  track: MediaStreamTrack;
  mirrored?: boolean;
  /** Whether sound is played, but not heard. */
  silent?: boolean;
}) {
  const { t } = useI18n();
  const [blocked, setBlocked] = useState(false);
  const element = useRef<HTMLVideoElement & HTMLAudioElement>(null);
  useEffect(() => {
    const media = element.current;
    if (media === null) return undefined;
    media.srcObject = new MediaStream([track]);
    const play = () => {
      media.play().then(
        () => setBlocked(false),
        (error: unknown) => setBlocked(error instanceof DOMException && error.name === "NotAllowedError"),
      );
    };
    play();
    addEventListener("pointerdown", play);
    return () => {
      removeEventListener("pointerdown", play);
      media.srcObject = null;
    };
  }, [track]);
  return track.kind === "video" ? (
    <video ref={element} className={mirrored ? "mirrored" : ""} autoPlay playsInline muted />
  ) : (
    <>
      <audio ref={element} autoPlay muted={silent} />
      {blocked && (
        <p className="toast" role="alert">
          {t("soundBlocked")}
        </p>
      )}
    </>
  );
}
