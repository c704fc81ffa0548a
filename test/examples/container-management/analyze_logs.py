# "Debug Mode". Usage: analyze_logs.py FILE
import json
import sys


def analyze_logs(log_file='logs/actions.jsonl'):
    errors = []
    slow_requests = []
    with open(log_file, 'r') as f:
        for line in f:
            entry = json.loads(line)
            # Find errors
            if entry.get('error'):
                errors.append(entry)
            # Find slow requests (>5 seconds)
            if entry.get('duration_ms', 0) > 5000:
                slow_requests.append(entry)
    print(f"Found {len(errors)} errors")
    print(f"Found {len(slow_requests)} slow requests")
    return errors, slow_requests


errors, slow_requests = analyze_logs(sys.argv[1])
for entry in errors:
    print(entry["error"], entry["request_id"])
for entry in slow_requests:
    print("slow", entry["request_id"])
