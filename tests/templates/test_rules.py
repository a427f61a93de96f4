"""Each rule masks what it is for and leaves what only looks like it."""

import polars as pl
import pytest

from oddlog.templates import mask
from oddlog.templates.rules import MAX_VARIABLES, RULES, cut_variables, trace

CASES = [
    ("date", "up since Tue Mar 3 10:00:01 2020", "up since <*>"),
    ("date", "up since 3 March 2020 10:00:01 UTC now", "up since <*> now"),
    ("date", "Mar went to Maya 3 times", "Mar went to Maya <*> times"),
    ("url", "calling http://192.0.2.1:80/a?b=c, twice", "calling <*>, twice"),
    ("url", "see https://docs.example.org/faq.", "see <*>."),
    ("url", "scheme: file or ftp", "scheme: file or ftp"),
    ("mail", "to <ann.lee@example.org>", "to <<*>>"),
    ("mail", "update @ noon", "update @ noon"),
    ("hex_groups", "peer fe80::ab:cd joined", "peer <*> joined"),
    ("hex_groups", "a std::bad::cast was thrown", "a std::bad::cast was thrown"),
    ("hex_word", "crc DEADBEEF, addr 0xff", "crc <*>, addr <*>"),
    ("hex_word", "a facade faded", "a facade faded"),
    ("host", "rhost=mail.example.com ok", "rhost=<*> ok"),
    ("host", "lookup of www.example.co.uk failed", "lookup of <*> failed"),
    ("host", "java.net.ConnectException: refused", "java.net.ConnectException: refused"),
    ("host_port", "csd.example.cn:80 open", "<*> open"),
    ("host_port", "handler.py:80 open", "handler.py:<*> open"),
    ("path", "open /etc/app/main.conf failed", "open <*> failed"),
    ("path", "run ./start now", "run <*> now"),
    ("path", "read/write and N/A of /tmp", "read/write and N/A of /tmp"),
    ("windows_path", r"from D:\logs\app.txt on", "from <*> on"),
    ("windows_path", r"DOMAIN\alice", r"DOMAIN\alice"),
    ("joined", "node-7:/x5 up", "<*> up"),
    ("joined", "package Core~amd64~~7.1 found", "package <*> found"),
    ("user", "user=alice logged in", "user=<*> logged in"),
    ("user", "session opened for user bob by cron", "session opened for user <*> by cron"),
    ("user", "user logged in", "user logged in"),
    ("query", "/v2/items?all=true&sort=asc read", "<*> read"),
    ("query", "did 5 fail? yes", "did <*> fail? yes"),
    ("list", "cpus 1, 2,3 idle", "cpus <*> idle"),
    ("list", "read 5, wrote 6", "read <*>, wrote <*>"),
    ("unit", "freed 12 MB after 3ms in 5 secs", "freed <*> after <*> in <*>"),
    ("unit", "5 Bananas and 6 seconds", "<*> Bananas and <*> seconds"),
    ("parenthesis", "from 192.0.2.1 (192.0.2.1) and 192.0.2.2 ()", "from <*> and <*>"),
    ("parenthesis", "from 192.0.2.1 (local)", "from <*> (local)"),
    ("run", "queue 1 2 3 4 5 full", "queue <*> full"),
    ("run", "status 200 1532 7", "status <*> <*> <*>"),
]


@pytest.mark.parametrize(("rule", "message", "masked"), CASES)
def test_a_rule_masks_its_own_and_nothing_else(rule, message, masked):
    assert mask(pl.Series([message])).distinct_text.to_list() == [masked], rule


def test_every_rule_has_a_case():
    assert {rule for rule, _, _ in CASES} == set(RULES)


def test_a_trace_names_what_each_variable_was():
    assert trace("at Fri Jun <*> <*>, to <*> KB") == ("Fri Jun <*> <*>", "<*> KB")
    assert trace("no variable") == ()


def test_forty_variables_are_left_alone():
    text = "<*>" + " <*>" * (MAX_VARIABLES - 1) + " end"
    assert cut_variables(text) == text
    assert cut_variables(text + " <*>") == text.removesuffix(" end")
