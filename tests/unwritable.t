#!/usr/bin/perl

# Files that can't be written: a full disk, and the limit on the size of files (ulimit -f), which ends
# processes by default. Requests are served, it is said, and lines are lost by the number only.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get keys_file status/;
use Tollgate::Client;

use List::Util qw/sum0/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

plan(skip_all => 'no /dev/full') unless -c '/dev/full';

my $t = Test::Nginx->new()->has(qw/http rewrite/)->has_daemon('prlimit')->plan(35);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone         zone=tollgate:1m state=%%TESTDIR%%/state;
    tollgate_endpoints  +*:/*;
    tollgate_status_file  %%TESTDIR%%/status;
    tollgate_tier         open { requests 1000000r/d; }
    tollgate_api_keys     %%TESTDIR%%/keys.json;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;

        location /full {
            tollgate_audit_log  /dev/full buffer=1k;
            try_files           /none /page;
        }

        location /limited {
            tollgate_audit_log  %%TESTDIR%%/limited.log buffer=1k flush=20ms;
            try_files           /none /page;
        }

        location /rotated {
            tollgate_audit_log  %%TESTDIR%%/rotated.log buffer=1k flush=20ms;
            try_files           /none /page;
        }

        location /fine {
            tollgate_audit_log  %%TESTDIR%%/fine.log;
            try_files           /none /page;
        }

        location = /failed {
            tollgate off;
            return 200 $tollgate_failed_loads;
        }

        location = /page {
            internal;
            tollgate off;
            return 200 PAGE;
        }
    }
}

EOC

# A limit that the files of nginx itself keep.
use constant LIMIT => 1 << 30;

my $dir = $t->testdir();
my $key = 'X-API-Key: key';
$t->write_file('keys.json', keys_file({ key => 'key', client => 'acme', tier => 'open' }));

# Files that have reached it, but for some bytes.
for my $name (qw/limited rotated/) {
	$t->write_file("$name.log", '');
	truncate "$dir/$name.log", LIMIT - 500 or die "Can't truncate: $!\n";
}

###############################################################################

# Under a limit that is smaller than the zone, the zone is there all the same, for this nginx alone. That is
# the first part, as the error log is to stay below the limit.

my $conf = $t->read_file('nginx.conf');
$t->write_file('nginx.conf', $conf =~ s/tollgate:1m/tollgate:8m/r);
limit($$, 4 << 20);
$t->run();
limit($$, 'unlimited');
ok(-e "$dir/nginx.pid", 'a zone beyond the limit: nginx starts');
ok(poll { (status(get('/fine', $key)) // 0) == 200 }, 'a zone beyond the limit: served');
open my $log, '<', "$dir/error.log" or die "Can't open error.log: $!\n";
is(scalar(grep { /\[warn\].*tollgate_zone "tollgate" cannot be shared with a newer nginx.*ulimit -f/ } <$log>), 1,
	'a zone beyond the limit: it is said');
close $log;
$t->stop();
$t->write_file('nginx.conf', $conf);

# nginx starts under a limit, and lives.

limit($$, LIMIT);
$t->run();
limit($$, 'unlimited');
ok(-s "$dir/nginx.pid", 'a limit: nginx starts');
my ($worker) = poll { (workers($t))[0] };
ok($worker, 'a limit: with a worker');

# An audit log that reaches the limit.

for my $name (qw/limited rotated/) {
	is(join(' ', map { status(get("/$name", $key)) } 1 .. 30), join(' ', (200) x 30), "$name: served");
	ok(poll { said(qr/cannot write the audit log "$dir\/$name.log": File too large|"$dir\/$name.log" was written in part/) },
		"$name: it is said");
}
is(-s "$dir/limited.log", LIMIT, 'limited: filled to the limit');
is(join(' ', workers($t)), $worker, 'limited: the worker lives');
is(scalar(@{[said(qr/audit log "$dir\/limited.log"/)]}), 1, 'limited: once');

# When there is room again, what waited is written without a further line.

limit($worker, 'unlimited');
ok(poll { said(qr/"$dir\/limited.log" is written again; \d+ lines were lost/) }, 'limited: it works again');
my ($lost) = map { /(\d+) lines were lost$/ } said(qr/"$dir\/limited.log" is written again/);
cmp_ok($lost, '>', 0, 'limited: some were lost');
my @lines = lines_from("$dir/limited.log", LIMIT - 500);
is(scalar(@lines) + $lost, 30, 'limited: all others are there');
is(scalar(grep { !/^\{.*"path":"\/limited".*\}$/ } @lines), 0, 'limited: as whole lines');

# A new file gets what waits from the begin of a line on.

limit($worker, LIMIT);
get('/rotated', $key) for 1 .. 10;
poll { said(qr/cannot write the audit log "$dir\/rotated.log"/) > 1
	|| said(qr/audit log "$dir\/rotated.log"/) };
rename "$dir/rotated.log", "$dir/rotated.log.1" or die "Can't rename: $!\n";
kill 'USR1', $t->read_file('nginx.pid');
ok(poll { -s "$dir/rotated.log" }, 'rotated: what waited is in the new file');
is(scalar(grep { !/^\{.*"path":"\/rotated".*\}$/ } lines_from("$dir/rotated.log", 0)), 0,
	'rotated: from the begin of a line on');

# No file can be written at all: neither the state, nor the status, nor the error log.

get('/fine', $key);
audit_lines($t, 'fine.log', 2);
my $state = -s "$dir/state" // 0;
limit($worker, 1);
my $begin = time();
poll { get('/fine', $key); time() > $begin + 2 };
# There is something to say in the status. What is said of one change, is said before the next one is counted.
for my $number (1, 2) {
	$t->write_file('keys.json', "broken, $number");
	poll { http_content(get('/failed')) >= $number };
}
cmp_ok(http_content(get('/failed')), '>=', 2, 'no file: files are looked at');
# The limit goes for the memory that workers share, too.
my $failed = http_content(get('/failed'));
$t->write_file('keys.json', keys_file(map { { key => $_, client => 'acme', tier => 'open' } } qw/key later/));
ok(poll { http_content(get('/failed')) > $failed }, 'no memory: keys are not taken over');
is(status(get('/fine', 'X-API-Key: later')), 401, 'no memory: they are not in force');
is(status(get('/fine', $key)), 200, 'no file: served');
is(join(' ', workers($t)), $worker, 'no file: the worker lives');
limit($worker, 'unlimited');
ok(poll { status(get('/fine', 'X-API-Key: later')) == 200 }, 'no memory: they are when there is some, unchanged');
ok(poll { get('/fine', $key); said(qr/the state "$dir\/state" is written again/) }, 'state: it works again');
$t->write_file('keys.json', keys_file({ key => 'key', client => 'acme', tier => 'open' }));
ok(poll { said(qr/"$dir\/status" is written again/) }, 'status: it works again');
ok(poll { said(qr/"$dir\/fine.log" is written again; 0 lines were lost/) }, 'audit log: it works again');
is(scalar(@{[said(qr/the state .* is written again/)]}), 1, 'state: once');

###############################################################################

# At its end, nginx says how many lines are lost, those that waited among them.

is(join(' ', map { status(get('/full', $key)) } 1 .. 30), join(' ', (200) x 30), 'full: served');
ok(poll { said(qr!cannot write the audit log "/dev/full"!) }, 'full: it is said');
my @old = reload_and_wait($t);
ok(poll { !grep { kill 0, $_ } @old }, 'full, reload: the old worker ends');
is(sum0(map { /(\d+) lines of the audit log/ } said(qr!lines of the audit log "/dev/full" were lost!)), 30,
	'full, reload: the number of lines');

for my $signal (qw/QUIT TERM/) {
	$t->run() unless -e "$dir/nginx.pid";
	my $before = sum0(map { /(\d+) lines of the audit log/ } said(qr!"/dev/full" were lost!));
	get('/full', $key) for 1 .. 7;
	kill $signal, $t->read_file('nginx.pid');
	poll { !-e "$dir/nginx.pid" } or die "nginx does not stop\n";
	is(sum0(map { /(\d+) lines of the audit log/ } said(qr!"/dev/full" were lost!)) - $before, 7,
		"full, $signal: the number of lines");
}
is(scalar(@{[said(qr/lines of the audit log "$dir/)]}), 0, 'and none where all were written');

# The original harness stops what it has started, and looks for its pid.
$t->run();

###############################################################################

# Sets the limit on the size of files, in bytes, of a process.
sub limit {
	my ($pid, $bytes) = @_;
	system('prlimit', '--pid', $pid, "--fsize=$bytes:") == 0 or die "Can't set a limit\n";
}

# The lines of the error log with this.
sub said {
	my ($pattern) = @_;
	open my $file, '<', "$dir/error.log" or return;
	return grep { /\[error\]/ && /$pattern/ } map { chomp; $_ } <$file>;
}

# The lines of a file behind its hole.
sub lines_from {
	my ($path, $offset) = @_;
	open my $file, '<:raw', $path or die "Can't open $path: $!\n";
	seek $file, $offset, 0;
	return map { chomp; $_ } <$file>;
}

###############################################################################
