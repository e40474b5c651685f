# What `up` and `down` share: names, ports, and how a process of ours is recognised. Sourced, never run.
#
# Every server runs in a session of its own with CENOTE_SERVICE_OF=FOLDER in its environment. A pid file says which
# process to ask to stop; the mark says that the process is still ours, and finds those whose pid file was never written.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
all_parts=(postgres rabbitmq redis nats kafka cassandra)
PATH=$PATH:/usr/sbin:/sbin

# Below the range that the kernel hands out to clients, but for the first.
: "${CENOTE_POSTGRES_PORT:=54329}" "${CENOTE_RABBITMQ_PORT:=5673}" "${CENOTE_REDIS_PORT:=6390}"
: "${CENOTE_NATS_PORT:=4223}" "${CENOTE_KAFKA_PORT:=9095}" "${CENOTE_CASSANDRA_PORT:=9142}"
rabbitmq_dist_port=$((CENOTE_RABBITMQ_PORT + 20000))
rabbitmq_epmd_port=$((CENOTE_RABBITMQ_PORT + 20001))
kafka_controller_port=$((CENOTE_KAFKA_PORT + 1))
cassandra_storage_port=$((CENOTE_CASSANDRA_PORT + 1))

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

# Sets dir, keep and parts from the arguments.
read_arguments() {
    dir=$here/../../../target/services keep="" parts=()
    while [ $# -gt 0 ]; do
        case $1 in
            --dir) [ $# -ge 2 ] || die "--dir needs a folder"; dir=$2; shift ;;
            --keep) keep=yes ;;
            -h | --help) usage; exit 0 ;;
            -*) usage >&2; die "unknown option $1" ;;
            *) [[ " ${all_parts[*]} " == *" $1 "* ]] || die "no such part: $1; known: ${all_parts[*]}"; parts+=("$1") ;;
        esac
        shift
    done
    dir=$(realpath -m "$dir")
}

pid_of() { cat "$dir/$1/pid" 2>/dev/null || true; }

# Whether the process is one of this folder's; a zombie has no environment, and counts as gone.
is_ours() { [ -n "$1" ] && cat "/proc/$1/environ" 2> /dev/null | grep -zqxF "CENOTE_SERVICE_OF=$dir"; }

is_up() { is_ours "$(pid_of "$1")"; }

address_of() {
    case $1 in
        postgres) echo "CENOTE_POSTGRES=postgres://cenote@127.0.0.1:$CENOTE_POSTGRES_PORT/postgres" ;;
        rabbitmq) echo "CENOTE_RABBITMQ=amqp://guest:guest@127.0.0.1:$CENOTE_RABBITMQ_PORT/%2f" ;;
        redis) echo "CENOTE_REDIS=redis://127.0.0.1:$CENOTE_REDIS_PORT/" ;;
        nats) echo "CENOTE_NATS=nats://127.0.0.1:$CENOTE_NATS_PORT" ;;
        kafka) echo "CENOTE_KAFKA=127.0.0.1:$CENOTE_KAFKA_PORT" ;;
        cassandra) echo "CENOTE_CASSANDRA=127.0.0.1:$CENOTE_CASSANDRA_PORT" ;;
    esac
}

# The file that `cqrs --real` reads: one line for each part that runs, with the port it was started on.
write_addresses() {
    local part
    for part in "${all_parts[@]}"; do
        ! is_up "$part" || cat "$dir/$part/address"
    done > "$dir/env.new"
    mv "$dir/env.new" "$dir/env"
}
