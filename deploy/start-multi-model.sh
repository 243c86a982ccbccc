#!/usr/bin/env bash
# Starts the two models of the two-model system and stays until one of them ends or it is
# stopped itself (Ctrl-C or SIGTERM); then it stops both.
#
#   LLAMA_SERVER     the program   (./llama.cpp/build/bin/llama-server, or the one on PATH)
#   MODELS_DIR       the weights   (./inference/models)
#   LOG_DIR          the logs      (TMPDIR, or /tmp)
#   HOST             where to listen (127.0.0.1; the servers ask nobody for a key)
#   FAST_PORT        8081
#   TOOL_PORT        8080
#   READY_TIMEOUT_S  how long a model may take to load (600)
#
# Runs with the bash 3.2 of macOS, too.

set -euo pipefail

LLAMA_SERVER=${LLAMA_SERVER:-./llama.cpp/build/bin/llama-server}
MODELS_DIR=${MODELS_DIR:-./inference/models}
LOG_DIR=${LOG_DIR:-${TMPDIR:-/tmp}}
HOST=${HOST:-127.0.0.1}
FAST_PORT=${FAST_PORT:-8081}
TOOL_PORT=${TOOL_PORT:-8080}
READY_TIMEOUT_S=${READY_TIMEOUT_S:-600}

FAST_MODEL=$MODELS_DIR/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf
TOOL_MODEL=$MODELS_DIR/qwen2.5-coder-32b-instruct-q4_k_m.gguf
FAST_LOG=$LOG_DIR/fleet-fast-model.log
TOOL_LOG=$LOG_DIR/fleet-tool-model.log

fast_pid=''
tool_pid=''

fail() {
    echo "start-multi-model: $*" >&2
    exit 1
}

running() {
    [ -n "$1" ] && kill -0 "$1" 2>/dev/null
}

# A trap waits for the command in the foreground; this pause does not make it wait.
pause() {
    sleep "$1" &
    wait $!
}

# shellcheck disable=SC2317  # the trap below calls it
stop_all() {
    trap '' INT TERM
    local pid tries
    for pid in $fast_pid $tool_pid; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    for pid in $fast_pid $tool_pid; do
        tries=0
        while running "$pid" && [ "$tries" -lt 100 ]; do
            sleep 0.1
            tries=$((tries + 1))
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}

wait_ready() {
    local name=$1 pid=$2 port=$3 log=$4 deadline
    deadline=$((SECONDS + READY_TIMEOUT_S))
    until curl --fail --silent --noproxy '*' --max-time 2 --output /dev/null \
        "http://$HOST:$port/health"; do
        running "$pid" || fail "the $name model has ended; see $log"
        [ "$SECONDS" -lt "$deadline" ] ||
            fail "the $name model was not ready within $READY_TIMEOUT_S s; see $log"
        pause 0.5
    done
    # Another server on the same port would have answered as well.
    running "$pid" || fail "the $name model has ended; see $log"
    echo "$name model ready: http://$HOST:$port (log: $log)"
}

command -v curl >/dev/null || fail "curl is needed to see when the models are ready"
if [ ! -x "$LLAMA_SERVER" ]; then
    LLAMA_SERVER=$(command -v llama-server) ||
        fail "no llama-server: build llama.cpp here, put it on PATH, or set LLAMA_SERVER"
fi
for model in "$FAST_MODEL" "$TOOL_MODEL"; do
    [ -f "$model" ] || fail "no model file $model: download it, or set MODELS_DIR"
done
mkdir -p "$LOG_DIR"

trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "starting Llama 8B (fast model) on port $FAST_PORT ..."
"$LLAMA_SERVER" \
    -m "$FAST_MODEL" \
    --host "$HOST" \
    --port "$FAST_PORT" \
    --ctx-size 8192 \
    --n-gpu-layers 32 \
    --parallel 2 \
    --cont-batching \
    >"$FAST_LOG" 2>&1 &
fast_pid=$!

echo "starting Qwen 32B (tool model) on port $TOOL_PORT ..."
"$LLAMA_SERVER" \
    -m "$TOOL_MODEL" \
    --host "$HOST" \
    --port "$TOOL_PORT" \
    --ctx-size 32768 \
    --n-gpu-layers 33 \
    --parallel 4 \
    --cont-batching \
    --jinja \
    >"$TOOL_LOG" 2>&1 &
tool_pid=$!

wait_ready fast "$fast_pid" "$FAST_PORT" "$FAST_LOG"
wait_ready tool "$tool_pid" "$TOOL_PORT" "$TOOL_LOG"
echo "both models are ready; Ctrl-C stops them"

while running "$fast_pid" && running "$tool_pid"; do
    pause 1
done
fail "one of the models has ended; see $FAST_LOG and $TOOL_LOG"
