#!/usr/bin/perl

# A sealed audit log while a newer nginx takes over (USR2): the workers of both write chains of one generation, and
# nothing is suspected; neither is it when the upgrade is called off, nor when a master is killed.
#
# nginx obeys USR2 only if whoever started it is gone: so it is a daemon here.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get keys_file status/;
use Tollgate::Client;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $command = $ENV{TOLLGATE_CLI};
plan(skip_all => 'TOLLGATE_CLI is not set') unless defined $command;

my $t = Test::Nginx->new()->has(qw/http rewrite/)->todo_alerts()->plan(12);
my $d = $t->testdir();

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon on;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier      open { requests 1000000r/d; }
    tollgate_api_keys  keys.json;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        add_header X-Worker $pid always;

        location / {
            tollgate_audit_log  %%TESTDIR%%/audit.log seal=seal.key;
            try_files           /none /page;
        }

        location = /page {
            internal;
            tollgate off;
            return 200 PAGE;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file({ key => 'key', client => 'acme', tier => 'open' }));
system("$command audit seal keygen --seal $d/seal.key --verify $d/verify.key 2>/dev/null") && die "no keys\n";

# What a test that is cut short would leave behind.
END {
	for my $name ('nginx.pid', 'nginx.pid.oldbin') {
		my $path = ($d // next) . "/$name";
		open my $file, '<', $path or next;
		kill 'TERM', <$file> =~ /(\d+)/;
	}
}

###############################################################################

my $sent = 0;
$t->run();
ask(20);
my $old = upgrade($t);
ok($old, 'a newer nginx');
ask(20);
intact('both write');

# Each master has its own workers open the new file.
rename "$d/audit.log", "$d/audit.log.1" or die "Can't rename: $!\n";
kill 'USR1', $old, master();
poll { -e "$d/audit.log" } or die "Not reopened\n";
ask(20);
intact('both have rotated');

kill 'QUIT', $old;
poll { is_gone($old) } or die "The old nginx does not end\n";
ask(20);
intact('the old one has ended');

# Called off.
$old = upgrade($t);
ok($old, 'a newer nginx again');
my $newer = master();
ask(10);
kill 'QUIT', $newer;
poll { is_gone($newer) && master() == $old } or die "The newer nginx does not end\n";
ask(10);
intact('called off');
is(generations(), '0', 'all of it is one generation');

# The master is killed, its workers live on: what they write is sealed as before, and the next start tells of it.
my @orphans = workers($t);
kill 'KILL', $old;
poll { is_gone($old) } or die "The master does not end\n";
ask(10);
intact('the workers have no master');
kill 'TERM', @orphans;
poll { !grep { !is_gone($_) } @orphans } or die "Workers do not end\n";
unlink "$d/nginx.pid", "$d/nginx.pid.oldbin";
$t->run();
poll { slurp('audit.log') =~ /"generation":1,/ } or die "No manifest\n";
ask(10);
intact('started anew');

my $end = master();
$t->stop();
poll { is_gone($end) } or die "nginx does not end\n";
is((verify())[0], 0, 'it ends');
my $lines = 0;
$lines += () = slurp($_) =~ /"path":/g for 'audit.log', 'audit.log.1';
is($lines, $sent, 'each request is a line');

# Without those that took over, it is no log of its own.
my ($first) = slurp('audit.log.1') =~ /\A(.*?"seal":\{"chain":"0\.2".*?\n)/s;
open my $file, '>', "$d/part" or die "Can't write: $!\n";
print $file substr slurp('audit.log.1'), length $first;
close $file;
is((verify("$d/part", "$d/audit.log"))[0], 1, 'what is cut off its beginning is found');

###############################################################################

sub ask {
	my ($count) = @_;
	for (1 .. $count) {
		(status(get('/', 'X-API-Key: key')) // 0) == 200 or die "nginx does not answer\n";
		$sent++;
	}
	poll {
		my $lines = 0;
		$lines += () = slurp($_) =~ /"path":/g for 'audit.log', 'audit.log.1';
		$lines >= $sent;
	};
}

sub upgrade {
	my ($t) = @_;
	my $old = master();
	# Before it has workers, it takes a signal for one that it has seen to; and until its parent has ended, none.
	poll { workers($t) == 2 } or return;
	poll { !is_child_of_nginx($old) } or return;
	kill 'USR2', $old;
	poll { -e "$d/nginx.pid.oldbin" && -s "$d/nginx.pid" && master() != $old && workers($t) == 2 } or return;
	return $old;
}

sub is_child_of_nginx {
	my ($pid) = @_;
	open my $stat, '<', "/proc/$pid/stat" or return 0;
	my ($parent) = <$stat> =~ /\) \S (\d+)/;
	open my $name, '<', "/proc/$parent/comm" or return 0;
	return <$name> =~ /^nginx/;
}

sub is_gone {
	my ($pid) = @_;
	open my $stat, '<', "/proc/$pid/stat" or return 1;
	return (<$stat> // ') Z') =~ /\) Z/;
}

sub master {
	my ($pid) = slurp('nginx.pid') =~ /(\d+)/;
	return $pid // 0;
}

# Not with $t, which would so live longer than the plan.
sub slurp {
	my ($name) = @_;
	open my $file, '<', "$d/$name" or return '';
	local $/;
	return scalar(<$file>) // '';
}

sub generations {
	my %seen = map { $_ => 1 } map { slurp($_) =~ /"seal":\{"chain":"(\d+)\./g } 'audit.log', 'audit.log.1';
	return join ' ', sort keys %seen;
}

sub verify {
	my @files = @_ ? @_ : grep { -e } "$d/audit.log", "$d/audit.log.1";
	my $json = `$command audit verify --json --key $d/verify.key @files 2>$d/errors`;
	return ($? >> 8, eval { JSON::PP->new->utf8->decode($json) });
}

sub intact {
	my ($name) = @_;
	my ($status, $report) = verify();
	is($status, 0, "$name: nothing is suspected") or diag(JSON::PP->new->pretty->encode($report // {}));
}

###############################################################################
