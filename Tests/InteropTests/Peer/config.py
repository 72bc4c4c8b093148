"""Reads configuration files as oslo.config does, for comparison.

    config.py --url URL

Prints READY; then, for each line of JSON on standard input, one line in answer:

    {"files": [paths], "options": [[section, name, "str" | "int" | "bool" | "float" | "list", default], …]}

    {"values": {"section.name": value, …}}     with {"error": class} in place of a value that cannot be had
    {"error": class}                           where a file cannot be read
"""

import argparse
import json
import logging
import sys

from oslo_config import cfg

logging.disable(logging.CRITICAL)

TYPES = {"str": cfg.StrOpt, "int": cfg.IntOpt, "bool": cfg.BoolOpt, "float": cfg.FloatOpt, "list": cfg.ListOpt}


def read(command):
    conf = cfg.ConfigOpts()
    for section, name, kind, default in command["options"]:
        option = TYPES[kind](name, default=default)
        conf.register_opt(option, group=None if section == "DEFAULT" else section)
    try:
        conf([], project="none", default_config_files=command["files"], default_config_dirs=[])
    except Exception as error:
        return {"error": type(error).__name__}
    values = {}
    for section, name, _, _ in command["options"]:
        try:
            value = conf[name] if section == "DEFAULT" else conf[section][name]
        except (Exception, RecursionError) as error:
            value = {"error": type(error).__name__}
        values["%s.%s" % (section, name)] = value
    return {"values": values}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.parse_args()
    print("READY", flush=True)
    for line in sys.stdin:
        print(json.dumps(read(json.loads(line))), flush=True)


main()
