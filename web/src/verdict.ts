// SPDX-License-Identifier: MIT
/** What `tat verify` found, in a word. */

export interface Verdict {
    kind: "good" | "bad" | "unknown";
    word: string;
    says: string;
}

interface Checked {
    verdict?: string;
    good?: boolean;
    checks?: { check: string; verdict: string; figures?: string }[] | Record<string, string>;
    text?: string;
    headline?: string;
}

export function verdictOf(answer: unknown): Verdict {
    if (answer === null || answer === undefined || typeof answer !== "object") {
        const word = typeof answer === "string" ? answer : "";
        if (!word) return { kind: "unknown", word: "not verified", says: "tat verify has not looked at this trace." };
        return { kind: word === "good" ? "good" : "bad", word, says: word };
    }
    const { checks, good, text, headline, verdict } = answer as Checked;
    const list: [string, string, string][] = Array.isArray(checks)
        ? checks.map((one) => [one.check, one.verdict, one.figures ?? ""])
        : Object.entries(checks ?? {}).map(([check, found]) => [check, found, ""]);
    const failed = list.filter(([, found]) => /^(bad|failed)$/i.test(found));
    const isGood = good ?? (verdict ? verdict === "good" : list.length > 0 && failed.length === 0);
    const lines = (failed.length > 0 ? failed : list).map((line) => line.filter(Boolean).join(": "));
    return {
        kind: isGood ? "good" : failed.length > 0 || verdict ? "bad" : "unknown",
        word: isGood ? "nothing missing" : failed.length > 0 ? `${failed.map(([check]) => check).join(", ")} failed` : (verdict ?? "not verified"),
        says: text ?? headline ?? (lines.length > 0 ? `tat verify: ${lines.join("; ")}` : "tat verify has not looked at this trace."),
    };
}
