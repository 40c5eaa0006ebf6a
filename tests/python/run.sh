#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# run.sh FILE...: runs pytest in the tests' environment.
python=$("$SOURCE/scripts/get-python.sh" --print test)
if [ ! -x "$python" ]; then
    echo "ok 1 $(basename "$1") # skip no Python environment: scripts/get-python.sh test makes it"
    exit
fi
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$SOURCE/python
exec "$python" -m pytest --quiet -p no:cacheprovider --rootdir "$SOURCE/tests/python" "$@"
