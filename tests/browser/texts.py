"""Texts as they stand on the page: which of them are printed one over another."""

from __future__ import annotations

from playwright.sync_api import Locator

_OVERLAPS = """(root) => {
    const texts = [];
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    const clip = (box, by) => ({
        left: Math.max(box.left, by.left), right: Math.min(box.right, by.right),
        top: Math.max(box.top, by.top), bottom: Math.min(box.bottom, by.bottom),
    });
    for (let node = walk.nextNode(); node !== null; node = walk.nextNode()) {
        if (node.textContent.trim() === "") continue;
        const home = node.parentElement;
        if (!home.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
        const layers = [];
        for (let at = home; at !== root; at = at.parentElement) {
            if (/absolute|fixed|sticky/.test(getComputedStyle(at).position)) layers.push(at);
        }
        const range = document.createRange();
        range.selectNodeContents(node);
        for (const line of range.getClientRects()) {
            let box = line;
            for (let at = home; at !== root.parentElement; at = at.parentElement) {
                const style = getComputedStyle(at);
                if (style.overflow !== "visible" || style.clipPath !== "none") {
                    box = clip(box, at.getBoundingClientRect());
                }
            }
            // Lines have leading above and below their letters.
            const { left, right, top, bottom } = box;
            const spare = (bottom - top) * 0.15;
            box = { left: left + 1, right: right - 1, top: top + spare, bottom: bottom - spare };
            if (box.right - box.left < 1 || box.bottom - box.top < 1) continue;
            texts.push({ text: node.textContent.trim(), box, node, layers });
        }
    }
    const found = [];
    for (const [at, one] of texts.entries()) {
        for (const other of texts.slice(at + 1)) {
            if (one.node === other.node) continue;
            const shared = clip(one.box, other.box);
            if (shared.right <= shared.left || shared.bottom <= shared.top) continue;
            // An opaque layer that only one of them is in hides the other, or is hidden.
            const apart = [...one.layers, ...other.layers].filter(
                (layer) => one.layers.includes(layer) !== other.layers.includes(layer));
            const clear = "rgba(0, 0, 0, 0)";
            if (apart.some((layer) => getComputedStyle(layer).backgroundColor !== clear)) continue;
            found.push([one.text, other.text]);
        }
    }
    return found;
}"""


def overlapping_texts(root: Locator) -> list[list[str]]:
    """Pairs of texts that are seen, and share some of the page.

    Left out are those that an opaque layer above hides: a menu, a tip, a header that stays.
    """
    pairs: list[list[str]] = root.evaluate(_OVERLAPS)
    return pairs
