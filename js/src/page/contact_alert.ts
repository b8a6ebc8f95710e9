/** An alert that says that the kernel is gone or silent, and what to do. */

import { Alert } from "../ui/alert";
import type { Contact } from "./heartbeat";

const KEPT = "What was counted stays on the page; run the cell again to go on counting.";

export class ContactAlert {
  readonly #alert = new Alert();

  update(contact: Contact): void {
    if (contact === "there") this.#alert.hide();
    else if (contact === "gone") {
      this.#alert.show(
        "The kernel was restarted or has ended. ",
        `${KEPT} The units of other layers are not on the page.`,
      );
    } else {
      this.#alert.show(
        "The kernel does not answer. ",
        `If it is busy, counting goes on by itself. If it was restarted or has died, nothing is counted any more. ${KEPT}`,
      );
    }
  }

  node(): HTMLElement {
    return this.#alert.node();
  }
}
