/** All scripts run as `sh -c SCRIPT …` in any container, so they use only built-ins of a POSIX sh, and /proc. */

/**
 * Prints the marker ($0) and its process id, waits for a line, prints both again and becomes the shell. By then the terminal has its size
 * and the guard knows the process. One line, because `GUARD_SCRIPT` looks for the marker at the end of the command line.
 */
export const START_SCRIPT = 'echo "$0 $$"; read -r _ || exit; echo "$0 $$"; command -v bash >/dev/null 2>&1 && exec bash; exec sh';

/**
 * Sends signal $2 to the foreground process group of session $1 (field tpgid of /proc/PID/stat); without a terminal to the group of the
 * session leader.
 */
export const SIGNAL_FOREGROUND_SCRIPT = `name=$2 leader=$1
read -r line <"/proc/$leader/stat" || exit
set -- \${line##*) }
group=$6
[ "$group" -gt 1 ] || group=$leader
kill -"$name" -"$group"`;

/** Exit code of `SIGNAL_SESSION_SCRIPT` if the session has no processes. */
export const NO_PROCESS_LEFT = 3;

const signalAll = `signal_all() {
  session=$1 name=$2 left=${NO_PROCESS_LEFT}
  for stat in /proc/[0-9]*/stat; do
    read -r line 2>/dev/null <"$stat" || continue
    set -- \${line##*) }
    [ "$4" = "$session" ] || continue
    case $1 in Z|X) continue;; esac
    left=0
    kill -"$name" "\${line%% *}" 2>/dev/null
  done
  return "$left"
}`;

/** Sends signal $2 to every process of session $1. */
export const SIGNAL_SESSION_SCRIPT = `${signalAll}
signal_all "$1" "$2"`;

/**
 * Prints the marker ($0) and its process id, and answers every line until its input closes, which also happens when this server dies. Then
 * it ends the session whose leader the last line named. If no line named one, the shell may still start: it is found by the marker.
 * The input also counts as closed when no line comes for $1 seconds, because a connection that breaks while the engine starts this exec
 * may leave the input open. The timer prints the line: it can be stopped by then. Each process is waited for: many containers have a first
 * process that never does, and there a dead one counts against the limit of processes for good.
 */
export const GUARD_SCRIPT = `# ends what a terminal of docker-server has left
${signalAll}
trap '' PIPE
trap : ALRM
(
  sleep "$1" >/dev/null 2>&1 & nap=$!
  trap 'kill "$nap"; wait "$nap"' TERM
  echo "$0 $$"
  exec >/dev/null 2>&1
  wait "$nap" && kill -ALRM "$$"
) &
timer=$!
stop_timer() {
  trap '' ALRM
  [ -n "$timer" ] || return
  kill "$timer" 2>/dev/null
  wait "$timer"
  timer=
}
leader=
while read -r line; do
  stop_timer
  leader=$line
  echo
done
stop_timer
how=HUP rounds=20
while [ "$rounds" -gt 0 ]; do
  rounds=$((rounds - 1))
  if [ -z "$leader" ]; then
    for begun in /proc/[0-9]*/cmdline; do
      line=
      read -r line 2>/dev/null <"$begun"
      case $line in *"$0") leader=\${begun#/proc/} leader=\${leader%/*};; esac
    done
  fi
  if [ -n "$leader" ]; then
    signal_all "$leader" "$how"
    [ $? = ${NO_PROCESS_LEFT} ] && exit
    how=KILL
  fi
  sleep 1
done`;
