/** Inviting people by mail. */
import { schedules } from "../api/client";
import { Complaint } from "../api/errors";
import { useI18n } from "../i18n";
import { addressesIn } from "../schedule/plan";

const MOST_AT_ONCE = 100;

interface Inviting {
  /** The addresses in a filled-in form. Throws a Complaint about what is none. */
  readonly addresses: (values: Record<string, string>) => string[];
  /** Write to them, in the language of the page. */
  readonly invite: (parent: string, emails: string[], message: string) => Promise<void>;
}

export function useInviting(): Inviting {
  const { t, language } = useI18n();
  return {
    addresses: ({ invited = "" }) => {
      const { addresses, wrong } = addressesIn(invited);
      if (wrong.length > 0) throw new Complaint(t("invitesWrong", { addresses: wrong.join(", ") }));
      if (addresses.length > MOST_AT_ONCE) throw new Complaint(t("invitesMany"));
      return addresses;
    },
    invite: async (parent, emails, message) => {
      if (emails.length > 0) await schedules.createInvitations({ parent, emails, message }, { headers: { "accept-language": language } });
    },
  };
}
