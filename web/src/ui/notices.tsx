/** What a call has to tell: that it is encrypted, what is wrong, that one's screen is shown, who comes, goes and raises a hand. */
import { useSyncExternalStore } from "react";
import type { CallState } from "../call/call";
import type { Content } from "../call/screen";
import { useI18n } from "../i18n";
import { Icon } from "./icons";
import type { ScreenShare } from "./screens";
import { troubleOf } from "./trouble";

const NEWS = { joined: "newsJoined", left: "newsLeft", presenting: "presenting", hand: "newsHand" } as const;

/** Says that the call is encrypted and, when opened, what that means. */
export function Lock() {
  const { t } = useI18n();
  return (
    <details className="lock">
      <summary>
        <Icon name="lock" />
        {t("encrypted")}
      </summary>
      <div className="card">
        <p>{t("encryptedMeans")}</p>
        <p>{t("encryptedOff")}</p>
        <p>{t("encryptedLink")}</p>
      </div>
    </details>
  );
}

/** What is wrong with the way to the others, if anything is. */
export function Banner({ state, rebuild }: { state: CallState; rebuild: () => void }) {
  const words = useI18n();
  const online = useSyncExternalStore(subscribeToNetwork, () => navigator.onLine);
  const { text, canTryAgain } = troubleOf(state, online, words);
  return (
    <div className="banner" role="status">
      {text}
      {canTryAgain && (
        <button type="button" className="link" onClick={rebuild}>
          {words.t("tryAgain")}
        </button>
      )}
    </div>
  );
}

/** Tells whoever shows a screen that they do, and how to stop. */
export function Sharing({ screen, stop }: { screen: ScreenShare; stop: () => void }) {
  const { t } = useI18n();
  const contents: readonly Content[] = ["detail", "motion"];
  return (
    <div className="sharing" role="status">
      <span>{t("sharing")}</span>
      <span className="choice" role="group" aria-label={t("optimizeFor")}>
        {contents.map((content) => (
          <button
            key={content}
            type="button"
            aria-pressed={screen.content === content}
            onClick={() => screen.setContent(content)}
          >
            {t(`content.${content}`)}
          </button>
        ))}
      </span>
      <button type="button" className="primary danger" onClick={stop}>
        {t("stopSharing")}
      </button>
    </div>
  );
}

/** Tells those who can't see the stage who comes and goes, shows a screen, or raises a hand. */
export function Announcer({ state: { news } }: { state: CallState }) {
  const { t } = useI18n();
  return (
    <p className="unseen" aria-live="polite">
      {news !== undefined && <span key={news.count}>{t(NEWS[news.kind], { name: news.displayName })}</span>}
    </p>
  );
}

function subscribeToNetwork(listener: () => void): () => void {
  addEventListener("online", listener);
  addEventListener("offline", listener);
  return () => {
    removeEventListener("online", listener);
    removeEventListener("offline", listener);
  };
}
