#!/usr/bin/env bash
# Two machines on one: network namespaces with a host name each, joined by a cable of their own, in which Open MPI speaks
# TCP. Trains, compares with one process that accumulates, then pulls the cable in the middle of a run: all must end.
# Needs Linux, root, iproute2, util-linux and Open MPI, and a checkout after "npx tsc -p tsconfig.json".
set -euo pipefail
cd "$(dirname "$0")/.."

if ! unshare --net --uts true 2>/dev/null; then
  echo "skipped: this system does not allow network namespaces; run as root"
  exit 0
fi
for program in ip unshare mpirun; do
  command -v "$program" >/dev/null || { echo "skipped: $program is not installed"; exit 0; }
done

work=$(mktemp -d)
cleanup() {
  ip netns del machine-a 2>/dev/null || true
  ip netns del machine-b 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

ip netns add machine-a
ip netns add machine-b
ip link add cable-a netns machine-a type veth peer name cable-b netns machine-b
for machine in a:1 b:2; do
  name=${machine%:*}
  ip -n "machine-$name" addr add "10.99.0.${machine#*:}/24" dev "cable-$name"
  ip -n "machine-$name" link set "cable-$name" up
  ip -n "machine-$name" link set lo up
done

# What mpirun calls in place of ssh: agent <address> <command ...>
cat >"$work/agent" <<'AGENT'
#!/usr/bin/env bash
[ "$1" = -x ] && shift
shift
exec ip netns exec machine-b unshare --uts sh -c "hostname machine-b; $*"
AGENT
chmod +x "$work/agent"

cat >"$work/run.yaml" <<CONFIG
custom_imports: ['$PWD/dist/test/fixtures/engine/linear.js']
model: { type: LinearModel, wait_ms: ${WAIT_MS:-20} }
train_dataloader: { batch_size: 3, dataset: { type: NoisePictures } }
optim_wrapper: { optimizer: { type: AdamW, lr: 0.05 }, clip_grad: { max_norm: 1 } }
train_cfg: { max_iters: 40 }
default_hooks: { checkpoint: { type: CheckpointHook, interval: 5 }, logger: { type: LoggerHook, interval: 20 } }
custom_hooks: { peft: { type: PeftSaveHook } }
CONFIG

both() {
  ip netns exec machine-a unshare --uts sh -c 'hostname machine-a; exec "$@"' sh \
    mpirun --allow-run-as-root --bind-to none --host 10.99.0.1:1,10.99.0.2:1 -n 2 \
    --mca plm_rsh_agent "$work/agent" --mca btl tcp,self --mca btl_tcp_if_include 10.99.0.0/24 \
    --mca oob_tcp_if_include 10.99.0.0/24 \
    --mca oob_tcp_keepalive_time 2 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 2 \
    "$(command -v node)" dist/tools/cli.js train "$work/run.yaml" --launcher mpi "$@"
}

echo "== two machines, a rank each"
both --work-dir "$work/two"
node dist/tools/cli.js train "$work/run.yaml" --work-dir "$work/one" --cfg-options train_cfg.max_iters=80 \
  optim_wrapper.accumulative_counts=2 backend.type=OnnxRuntimeBackend backend.intra_op_num_threads=1 >/dev/null
cmp "$work/two/step39/linear/model.safetensors" "$work/one/step79/linear/model.safetensors"
echo "equal to one process, bit for bit"

echo "== the cable is pulled"
(until [ -e "$work/cut/step14" ]; do sleep 0.1; done; ip -n machine-b link set cable-b down; date +%s%N >"$work/pulled") &
code=0
both --work-dir "$work/cut" --cfg-options train_cfg.max_iters=2000 || code=$?
ended=$(date +%s%N)
wait
echo "ended with code $code, $(((ended - $(cat "$work/pulled")) / 1000000)) ms after"
[ "$code" -ne 0 ]
ip -n machine-b link set cable-b up
echo "the last checkpoint is $(cat "$work/cut/last_checkpoint")"
pgrep -f "$work/run.yaml" && { echo "ranks are left"; exit 1; }
echo "no rank is left"
