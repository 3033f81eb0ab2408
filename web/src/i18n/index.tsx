/** The two languages. The choice is remembered; before one is made the browser's own decides. */
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { Complaint, reasonOf, textOf } from "../api/errors";
import { en, type Texts } from "./en";
import { zh } from "./zh";

export type Language = "en" | "zh";
type Key = keyof Texts;

const STORED = "parley.language";
const TEXTS: Record<Language, Texts> = { en, zh };
const TAGS: Record<Language, string> = { en: "en", zh: "zh-CN" };

export interface Words {
  t: (key: Key, values?: Record<string, string | number>) => string;
  /** What to tell a person of an error. */
  explain: (error: unknown) => string;
}

interface I18n extends Words {
  /** BCP 47 tag of the language that is shown. */
  language: string;
  toggle: () => void;
}

export function initialLanguage(stored: string | null, preferred: readonly string[]): Language {
  if (stored === "en" || stored === "zh") return stored;
  return preferred[0]?.toLowerCase().startsWith("zh") ? "zh" : "en";
}

export function fill(text: string, values: Record<string, string | number> = {}): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** All that is said, in one of the languages. */
export function wordsIn(language: Language): Words {
  const texts = TEXTS[language];
  return {
    t: (key, values) => fill(texts[key], values),
    explain: (error) => {
      if (error instanceof Complaint) return error.message;
      const key = `error.${reasonOf(error)}`;
      return key in texts ? texts[key as Key] : textOf(error);
    },
  };
}

const Context = createContext<I18n | undefined>(undefined);

export function I18nProvider({ children }: { children: ReactNode }) {
  const [language, setLanguage] = useState(() => initialLanguage(localStorage.getItem(STORED), navigator.languages));
  useEffect(() => {
    document.documentElement.lang = TAGS[language];
  }, [language]);
  const value = useMemo<I18n>(() => {
    const toggle = () => {
      const other = language === "en" ? "zh" : "en";
      localStorage.setItem(STORED, other);
      setLanguage(other);
    };
    return { language: TAGS[language], ...wordsIn(language), toggle };
  }, [language]);
  return <Context value={value}>{children}</Context>;
}

export function useI18n(): I18n {
  const value = useContext(Context);
  if (value === undefined) throw new Error("no I18nProvider above");
  return value;
}
