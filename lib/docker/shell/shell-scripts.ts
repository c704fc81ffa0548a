/** Each runs as `sh -c SCRIPT …` in a container of which nothing else is known: with what every sh has built in, and /proc. */

/**
 * Tells its process id after a word of ours, and again after a line has come: before that it doesn't become the shell, so that the
 * terminal has its size by then and `GUARD` knows of it. In one line, at whose end that finds the word.
 */
export const START_SCRIPT = 'echo "$0 $$"; read -r _ || exit; echo "$0 $$"; command -v bash >/dev/null 2>&1 && exec bash; exec sh';

/** To the foreground of the terminal of session $1, as /proc/PID/stat knows it; without a terminal to the session's first group. */
export const SIGNAL_FOREGROUND_SCRIPT = `name=$2 leader=$1
read -r line <"/proc/$leader/stat" || exit
set -- \${line##*) }
group=$6
[ "$group" -gt 1 ] || group=$leader
kill -"$name" -"$group"`;

/** What `SIGNAL_ALL` exits with when there are none. */
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

/** To all of session $1 that still live, one by one. */
export const SIGNAL_SESSION_SCRIPT = `${signalAll}
signal_all "$1" "$2"`;

/**
 * Tells its process id after the word, answers every line and waits for the end of its input, which comes also with the end of whoever
 * started it. Then it ends the session whose leader the last line has named. One that was not named may still come, and is known by the word.
 */
export const GUARD_SCRIPT = `# ends what a terminal of docker-server has left
${signalAll}
trap '' PIPE
echo "$0 $$"
leader=
while read -r line; do
  leader=$line
  echo
done
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
