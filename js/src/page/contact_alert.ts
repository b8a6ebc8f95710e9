/** An alert that says that the kernel is gone or silent, and what to do. */

import { Alert } from "../ui/alert";
import type { Contact } from "./heartbeat";

const KEPT = "What was counted stays on show; to count on, run the cell again.";

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
        "The kernel is not heard from. ",
        `If it is held up, it will go on by itself. If it was restarted or has died, nothing is counted any more. ${KEPT}`,
      );
    }
  }

  node(): HTMLElement {
    return this.#alert.node();
  }
}
