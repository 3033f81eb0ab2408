/** Who may write in a meeting's chat, as its hosts choose. */
import { useState } from "react";
import { settings as service } from "../api/client";
import { ChatPolicy, type Settings } from "../gen/parley/meeting/v1/settings_pb";
import { useI18n } from "../i18n";
import { Problem } from "./parts";

const POLICIES = [
  { policy: ChatPolicy.EVERYONE, label: "setChat.everyone" },
  { policy: ChatPolicy.PUBLIC, label: "setChat.public" },
  { policy: ChatPolicy.HOSTS, label: "setChat.hosts" },
  { policy: ChatPolicy.OFF, label: "setChat.off" },
] as const;

export function ChatPolicyChoice({ settings, changed }: { settings: Settings; changed: (settings: Settings) => void }) {
  const { t, explain } = useI18n();
  const [problem, setProblem] = useState("");
  const choose = (chatPolicy: ChatPolicy) => {
    setProblem("");
    service
      .updateSettings({ settings: { name: settings.name, chatPolicy }, updateMask: { paths: ["chat_policy"] } })
      .then(changed, (error: unknown) => setProblem(explain(error)));
  };
  return (
    <>
      <label className="field">
        <span>{t("setChat")}</span>
        <select
          value={settings.chatPolicy === ChatPolicy.UNSPECIFIED ? ChatPolicy.EVERYONE : settings.chatPolicy}
          onChange={(event) => choose(POLICIES[event.target.selectedIndex]?.policy ?? ChatPolicy.EVERYONE)}
        >
          {POLICIES.map(({ policy, label }) => (
            <option key={policy} value={policy}>
              {t(label)}
            </option>
          ))}
        </select>
      </label>
      <Problem text={problem} />
    </>
  );
}
