#!/usr/bin/perl

# A sealed audit log: what nginx writes through rotations, reloads, kills and starts is not suspected by
# "tollgate audit verify", and whatever is done to it is found.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get json keys_file status/;
use Tollgate::Client;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $command = $ENV{TOLLGATE_CLI};
plan(skip_all => 'TOLLGATE_CLI is not set') unless defined $command;

# The same manipulations in each run.
srand(2026);

use constant MANIPULATIONS => 120;

my $t = Test::Nginx->new()->has(qw/http rewrite/)->todo_alerts()->plan(28);
my $d = $t->testdir();

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
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

        location / {
            tollgate_audit_log  %%TESTDIR%%/audit.log seal=seal.key;
            try_files           /none /page;
        }

        location /buffered {
            tollgate_audit_log  %%TESTDIR%%/buffered.log buffer=4k flush=1h seal=other.key;
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
is(tollgate("audit seal keygen --seal $d/seal.key --verify $d/verify.key"), 0, 'a pair of keys is made');
tollgate("audit seal keygen --seal $d/other.key --verify $d/other.verify");
is((stat "$d/seal.key")[2] & 0777, 0600, 'nobody else can read the one that seals');
my $first_key = $t->read_file('seal.key');

$t->run();
isnt($t->read_file('seal.key'), $first_key, 'the key has changed when nginx has started');

###############################################################################

my $sent = 0;
ask(20);
my ($line) = grep { ref && $_->{path} } audit_lines($t, 'audit.log', 20);
like($line->{seq}, qr/^0\.[01]\.\d+$/, 'a line has its number');
intact('a log');

# USR1

for my $round (1, 2) {
	rename "$d/audit.log", "$d/audit.log.$round" or die "Can't rename: $!\n";
	kill 'USR1', master();
	poll { -e "$d/audit.log" } or die "Not reopened\n";
	ask(15);
}
intact('rotated');

# HUP, and a worker that is killed

reload_and_wait($t);
ask(10);
intact('reloaded');

my ($victim) = workers($t);
kill 'KILL', $victim;
poll { 2 == (grep { $_ != $victim } workers($t)) } or die "No new worker\n";
ask(10);
intact('a worker was killed');

# Lines that wait are lost with the worker; the machine says so.

# Every ten seconds they don't wait any longer, so that may need a second try.
my ($status, $report);
for (1 .. 10) {
	get('/buffered', 'X-API-Key: key') for 1 .. 6;
	my @killed = workers($t);
	my $before = () = $t->read_file('buffered.log') =~ /"manifest":/g;
	kill 'KILL', @killed;
	my %is_killed = map { $_ => 1 } @killed;
	poll { 2 == (grep { !$is_killed{$_} } workers($t)) } or die "No new workers\n";
	poll { $before < (() = $t->read_file('buffered.log') =~ /"manifest":/g) } or die "No manifest\n";
	($status, $report) = verify('other.verify', [], 'buffered.log');
	last if $status or grep { $_->{kind} eq 'lost' } @{$report->{notes}};
}
is($status, 0, 'lines are lost with a worker: that is no manipulation');
like(join(' ', map { $_->{kind} } @{$report->{notes}}), qr/lost/, 'but it is told');
is((verify('other.verify', ['--strict'], 'buffered.log'))[0], 1, 'and can be asked for');
ask(5);

# Restart, and a start after all of nginx was killed

$t->stop();
intact('stopped');
$t->run();
ask(10);
intact('started again');
is(scalar(grep { ref && ($_->{seq} // '') =~ /^1\./ } audit_lines($t, 'audit.log')) > 0, 1, 'with new keys');

my ($master, @workers) = (master(), workers($t));
kill 'KILL', $master, @workers;
waitpid $master, 0;
poll { !grep { kill 0, $_ } @workers } or die "nginx lives\n";
unlink "$d/nginx.pid";
$t->run();
ask(10);
poll { $t->read_file('audit.log') =~ /"generation":2/ };
intact('all of nginx was killed');

# What the command line shows

my $heads = `$command audit heads $d/audit.log`;
$t->write_file('heads', "Dec  1 12:00:00 host tollgate: $heads");
is((verify('verify.key', ['--heads', "$d/heads"], logs()))[0], 0, 'heads are there');
is((verify('other.verify', [], logs()))[0], 1, 'another key does not verify');
unlike(`$command audit verify --key $d/verify.key $d/audit.log 2>&1`, qr/tollgate:/, 'a part of the log');
is(tollgate("audit verify --key $d/seal.key $d/audit.log"), 3, 'the key that seals is refused');
is(tollgate("audit verify --key $d/verify.key $d/keys.json"), 3, 'so is what is no log');

my $sum = 0;
$sum += () = $t->read_file($_) =~ /"path":/g for logs();
is($sum, $sent, 'each request is a line');

###############################################################################

$t->stop();
my %text = map { $_ => $t->read_file($_) } logs();
is((verify('verify.key', [], logs()))[0], 0, 'all of it is intact');

my @missed = grep { my $what = manipulate(); $what } 1 .. MANIPULATIONS;
is(scalar(@missed), 0, MANIPULATIONS . ' manipulations are found');

# Each of them, said in words.

says('changed', sub { $_[0] =~ s/"status":200/"status":403/ }, qr/changed/);
says('removed', sub { $_[0] =~ s/^\{"time".*\n//m }, qr/removed/);
says('added', sub { $_[0] =~ s/^(\{"time".*\n)/$1$1/m }, qr/added/);
says('unsealed', sub { $_[0] =~ s/^(\{"time")/{"time":"2026-01-01T00:00:00.000Z","status":200}\n$1/m }, qr/added/);
says('the end is cut off', sub { $_[0] =~ s/(?:.*\n){3}\z// }, qr/cut_off/, '--heads', "$d/end");

###############################################################################

sub ask {
	my ($count) = @_;
	for (1 .. $count) {
		my $answer = get('/' . 'x' x int(rand 30), 'X-API-Key: key');
		$answer =~ /200 OK/ or die "nginx does not answer\n";
		$sent++;
	}
	# They are written at the end of a turn of the event loop.
	poll {
		my $lines = 0;
		$lines += () = slurp($_) =~ /"path":/g for logs();
		$lines >= $sent;
	};
}

# Not with $t, which would so live longer than the plan.
sub slurp {
	my ($name) = @_;
	open my $file, '<', "$d/$name" or return '';
	local $/;
	return scalar(<$file>) // '';
}

sub spew {
	my ($name, $text) = @_;
	open my $file, '>', "$d/$name" or die "Can't write $name: $!\n";
	print $file $text;
	close $file or die "Can't write $name: $!\n";
}

sub master {
	my ($pid) = slurp('nginx.pid') =~ /(\d+)/;
	return $pid;
}

sub logs {
	return map { m!([^/]+)$! } glob "$d/audit.log*";
}

sub tollgate {
	my ($arguments) = @_;
	system "$command $arguments >$d/out 2>&1";
	return $? >> 8;
}

sub verify {
	my ($key, $options, @files) = @_;
	my $text = join ' ', map { "$d/$_" } @files;
	my $json = `$command audit verify --json --key $d/$key @$options $text 2>$d/errors`;
	my $status = $? >> 8;
	return ($status, eval { JSON::PP->new->utf8->decode($json) });
}

sub intact {
	my ($name) = @_;
	my ($status, $report) = verify('verify.key', [], logs());
	is($status, 0, "$name: nothing is suspected") or diag(json($report // {}));
}

# Something is done to the logs; what it was, if it is not found.
sub manipulate {
	my @names = sort keys %text;
	my $name = $names[rand @names];
	my @lines = split /^/, $text{$name};
	my $at = int(rand @lines);
	my $what = int(rand 6);
	if ($what == 0) {
		# Some byte of the line.
		my $byte = int(rand(length($lines[$at]) - 1));
		substr($lines[$at], $byte, 1) = chr(ord(substr($lines[$at], $byte, 1)) ^ 1);
	} elsif ($what == 1) {
		# Some lines are missing, but not at the end.
		$at = int(rand(@lines - 6));
		splice @lines, $at, 1 + int(rand 3);
	} elsif ($what == 2) {
		splice @lines, int(rand @lines), 0, $lines[$at];
	} elsif ($what == 3) {
		my $other = int(rand @lines);
		@lines[$at, $other] = @lines[$other, $at];
		return if $lines[$at] eq $lines[$other];
	} elsif ($what == 4) {
		# A line goes to another file.
		my $moved = splice @lines, int(rand(@lines - 6)), 1;
		my ($other) = grep { $_ ne $name } @names;
		spew($other, $text{$other} . $moved);
		spew($name, join '', @lines);
		my ($status) = verify('verify.key', [], @names);
		spew($_, $text{$_}) for $other, $name;
		return $status == 1 ? undef : "moved out of $name";
	} else {
		chomp $lines[$at];
		substr($lines[$at], int(rand(length $lines[$at])), 0) = 'x';
		$lines[$at] .= "\n";
	}
	spew($name, join '', @lines);
	my ($status) = verify('verify.key', [], @names);
	rename "$d/$name", "$d/missed.$what.$at" if $status != 1;
	spew($name, $text{$name});
	return $status == 1 ? undef : do { diag("missed $what in line $at of $name"); "$what in line $at of $name" };
}

sub says {
	my ($name, $change, $kind, @options) = @_;
	spew('end', `$command audit heads $d/audit.log`);
	my $text = $text{'audit.log'};
	$change->($text);
	spew('audit.log', $text);
	my ($status, $report) = verify('verify.key', \@options, logs());
	my @kinds = map { $_->{kind} } @{$report->{findings}};
	like("$status @kinds", qr/^1 .*$kind/, "it is said: $name") or diag(json($report // {}));
	spew('audit.log', $text{'audit.log'});
}

###############################################################################
