// SPDX-License-Identifier: MIT
/** All that one operation reads and writes, as a small table. */
import { bytes, count } from "../../format";
import type { AccessRow, RecordsPage } from "../../types";

/** Where a record's bytes are, as people say it. */
export const placeOf = (row: AccessRow): string =>
    row.size === 0 ? "" : row.memory === "file" || row.memory === "copy" ? `byte ${count(row.offset)} of the file` : `byte ${count(row.offset)}`;

const MOST = 60;

export function Operands({ page }: { page: RecordsPage }) {
    return (
        <>
            <table class="operands">
                <tbody>
                    {page.rows.slice(0, MOST).map((row, i) => (
                        <tr key={i}>
                            <th scope="row">{row.operand}</th>
                            <td>
                                {row.tensor ?? `tensor ${row.tensor_id}`}
                                {row.expert !== null && ` expert ${row.expert}`}
                                <small>{[row.component, row.memory, placeOf(row)].filter(Boolean).join(", ")}</small>
                            </td>
                            <td>
                                {row.access}
                                <small>{bytes(row.size)}</small>
                            </td>
                        </tr>
                    ))}
                </tbody>
            </table>
            {page.total > MOST && <p class="note">{`and ${count(page.total - MOST)} more`}</p>}
        </>
    );
}
