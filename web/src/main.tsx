// SPDX-License-Identifier: MIT
import { render } from "preact";

import { begin } from "./api";
import { Shell } from "./shell";
import { followAddress } from "./state";
import "./style.css";

followAddress();
void begin();
render(<Shell />, document.getElementById("page")!);
