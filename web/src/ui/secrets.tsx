/** Secrets that are shown once. */
import { useState } from "react";
import { useI18n } from "../i18n";
import { save } from "./save";

interface SecretProps {
  label: string;
  text: string;
  /** What the file is called that it may be kept in; without it there is no such button. */
  file?: string;
}

export function Secret({ label, text, file }: SecretProps) {
  const { t } = useI18n();
  const [copied, setCopied] = useState(false);
  const copy = () => {
    navigator.clipboard.writeText(text).then(
      () => setCopied(true),
      (error: unknown) => console.warn(error),
    );
  };
  return (
    <>
      <code className="secret" role="group" aria-label={label}>
        {text}
      </code>
      <div className="actions">
        {/* Only secure contexts have a clipboard; elsewhere the text can be selected. */}
        {"clipboard" in navigator && (
          <button type="button" className="quiet" onClick={copy}>
            {copied ? t("copied") : t("copy")}
          </button>
        )}
        {file !== undefined && (
          <button type="button" className="quiet" onClick={() => save(new Blob([`${text}\n`], { type: "text/plain" }), file)}>
            {t("download")}
          </button>
        )}
      </div>
    </>
  );
}
