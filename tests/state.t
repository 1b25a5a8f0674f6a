#!/usr/bin/perl

# state= of tollgate_zone: what was used outlives a restart, and the death of all processes. A file
# that is damaged, or somebody else's, is refused, whole.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;

use POSIX qw/WNOHANG/;
use Time::HiRes qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

# nginx logs an alert for a worker that was killed.
my $t = Test::Nginx->new()->has(qw/http proxy/)->todo_alerts()->plan(113);

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m state=%%TESTDIR%%/state/file;
    tollgate_price mock input=1000 output=1000;

    tollgate_tier deep     { tokens 100/d burst=1000; }
    tollgate_tier requests { requests 10r/h; }
    tollgate_tier debt     { tokens 100/d burst=100; }
    tollgate_tier budget   { budget 0.1/month; }
    tollgate_tier block    { model mock { tokens 100/d burst=1000; } }
    tollgate_tier held     { tokens 100/d burst=1000; concurrency 1; }
    tollgate_tier learn    { tokens 100/d burst=10k; }
    tollgate_tier open     { }
    tollgate_tier saver    { requests 1000000r/h; }

    tollgate_limit rule key=$tollgate_client tokens=100/d burst=1000;
    tollgate_limit failures key=$binary_remote_addr auth_failures=2r/h;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;
        proxy_buffering off;
        add_header X-Worker $pid always;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /rule/ {
            tollgate_apply rule;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /failures {
            tollgate_apply failures;
            proxy_pass http://127.0.0.1:8081;
        }
    }
}

EOC

$t->write_file_expand('nginx.conf', $conf);
$t->write_file('keys.json', keys_file(map {
	{ key => "key-$_", client => $_, tier => $_ }
} qw/deep requests debt budget block held learn open saver/));
mkdir $t->testdir() . '/state' or die "Can't make a folder: $!\n";
my $path = $t->testdir() . '/state/file';

start_engine($t, 8081);
is_deeply([(configtest($t, $conf))[0], -e $path ? 'a file' : ''], [0, ''], 'no file yet: nginx -t');
$t->run();

###############################################################################

my %used = (requests => 0, deep => 0, block => 0, rule => 0);
use_some('at first');
complete(client => 'debt', max => 295, tokens => 295);
complete(client => 'budget', max => 90, tokens => 90);
complete(client => 'learn', model => 'learned', tokens => 50) for 1 .. 3;
get('/failures', 'X-API-Key: wrong') for 1 .. 2;
everything_is_there('at first');

is((stat $path)[2] & 07777, 0600, 'nobody else may read the file') if ok(saved($path), 'it is written');

# stop and start

$t->stop();
$t->run();
everything_is_there('stop and start');
my $left = remaining(client => 'learn', model => 'probe', max => 1, tokens => 1) + 4;
cmp_ok($left - remaining(client => 'learn', model => 'learned', tokens => 50), '<', 100,
	'stop and start: what was learned of a model is known');
use_some('stop and start');

# the death of all processes

my ($held) = hold(client => 'held', max => 100);
is(status(complete(client => 'held', max => 1)), 429, 'one is in flight');
ok(saved($path), 'it is written again');
kill_all($t);
$t->run();
everything_is_there('killed');
use_some('killed');
my $r = complete(client => 'held', max => 1, tokens => 1);
is(status($r), 200, 'killed: what was in flight is not any more');
is(header($r, 'x-ratelimit-remaining-tokens'), 1000 - 105 - 6, 'killed: and took what it had reserved');

# At most a second is lost.
use_some('killed again');
saved($path);
kill_all($t);
$t->run();
everything_is_there('killed again');

# The worker that writes ends, and another one still has a stream under way.

my ($other, $last, $streams);
poll {
	($last) = writers($t);
	($other, my $head) = hold(client => 'held', max => 100);
	my $is_there = status($head) == 200;
	$streams++ if $is_there;
	my $is_other = $is_there && header($head, 'X-Worker') != $last;
	$other->close() unless $is_other;
	$is_other;
};
my ($master) = $t->read_file('nginx.pid') =~ /(\d+)/;
kill 'QUIT', $master;
ok((poll { !kill 0, $last }), 'quit: the worker that writes has ended');
$other->close();
waitpid $master, 0;
$t->run();
# Each stream used a token beside its input, which is estimated: 1 + 4.
is(remaining(client => 'held', max => 1, tokens => 1), 1000 - 107 - 6 * $streams - 6,
	'quit: what was settled after that is not lost');
everything_is_there('quit');

# reload

reload_and_wait($t);
everything_is_there('reload');
use_some('reload');
for my $size ('2m', '512k', '1m') {
	saved($path);
	(my $other = $conf) =~ s/tollgate:1m/tollgate:$size/;
	$t->write_file_expand('nginx.conf', $other);
	reload_and_wait($t);
	everything_is_there("a zone of $size");
	use_some("a zone of $size");
}

# Without it, a restart forgets.
(my $without = $conf) =~ s/ state=\S+;/;/;
$t->stop();
my $good = $t->read_file('state/file');
$t->write_file_expand('nginx.conf', $without);
$t->run();
is(remaining(client => 'deep', max => 1), 1000 - 6, 'without a state, a restart forgets');
$t->stop();
ok($t->read_file('state/file') eq $good, 'and leaves a file alone that is there');
$t->write_file_expand('nginx.conf', $conf);
$t->run();
everything_is_there('with it, again');

# one writes

# Two may begin at the same moment: the second one finds the file taken, and ends.
poll { writers($t) == 1 };
is(scalar(writers($t)), 1, 'of two workers, one writes');
my ($writer) = writers($t);
kill 'KILL', $writer;
my $next;
poll { ($next) = writers($t); $next && $next != $writer };
ok($next && $next != $writer, 'where it was killed, another one');
poll { writers($t) == 1 };
is(scalar(writers($t)), 1, 'and only one');
ok(saved($path), 'which writes');
everything_is_there('a writer was killed');

# nginx -t

saved($path);
is((configtest($t, $conf))[0], 0, 'nginx -t beside a running nginx');
everything_is_there('nginx -t');

# the file can't be written

rename $t->testdir() . '/state', $t->testdir() . '/moved' or die "Can't rename: $!\n";
my @errors;
use_some('a file that cannot be written');
poll { @errors = $t->read_file('error.log') =~ /\[error\] (\d+).*cannot write the state/g };
is(@errors, 1, 'a file that cannot be written: an error in the log');
rename $t->testdir() . '/moved', $t->testdir() . '/state' or die "Can't rename: $!\n";
ok(saved($path), 'as soon as it can, it is');
like($t->read_file('error.log'), qr/state .* is written again/, 'and the log says so');
@errors = $t->read_file('error.log') =~ /\[error\] (\d+).*cannot write the state/g;
my %by_worker = map { $_ => 1 } @errors;
is(@errors, keys %by_worker, 'and no worker said it twice');

# damaged and foreign files

$t->stop();
$good = $t->read_file('state/file');
my $length = length $good;
my %damaged = (
	'empty' => '',
	'one byte' => 't',
	'the beginning' => substr($good, 0, 16),
	'half of it' => substr($good, 0, $length / 2),
	'all but a byte' => substr($good, 0, $length - 1),
	'a byte too much' => "$good\0",
	'twice' => $good . $good,
	'zeros' => "\0" x $length,
	'something else' => "user nobody;\n" x 20,
	'another version' => do { my $other = $good; substr($other, 8, 1) = "\x63"; $other },
	map({ my $at = int($_ * ($length - 1) / 15);
		my $other = $good;
		substr($other, $at, 1) ^= "\x01";
		("byte $at changed" => $other) } 0 .. 15),
);
for my $name (sort keys %damaged) {
	$t->write_file('state/file', $damaged{$name});
	my ($status, $output) = configtest($t, $conf);
	ok($status != 0 && $output =~ /\[emerg\].*tollgate_zone "tollgate".*\Q$path\E/
		&& $output =~ /is damaged|is not a state file|has version 99/, "$name: nginx -t refuses")
		or diag($output);
	ok($t->read_file('state/file') eq $damaged{$name}, "$name: and leaves it alone");
}
for my $name ('half of it', 'something else') {
	$t->write_file('state/file', $damaged{$name});
	is(start_and_fail($t), 1, "$name: nginx does not start");
	ok($t->read_file('state/file') eq $damaged{$name}, "$name: and leaves it alone");
}

unlink $path;
mkdir $path or die "Can't make a folder: $!\n";
my ($status, $output) = configtest($t, $conf);
ok($status != 0 && $output =~ /\[emerg\].*\Q$path\E/, 'a folder: nginx -t refuses') or diag($output);
rmdir $path;

$t->write_file('state/file', $good);
$t->run();
everything_is_there('the good one');

###############################################################################

# Takes a little of each limit.
sub use_some {
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @left;
	push @left, remaining(client => 'deep', max => 9, tokens => 9);
	push @left, remaining(client => 'block', max => 9, tokens => 9);
	push @left, remaining(client => 'open', max => 9, tokens => 9, uri => '/rule/v1/completions');
	push @left, header(complete(client => 'requests'), 'x-ratelimit-remaining-requests');
	my @expected = (map({ 1000 - $used{$_} - 14 } qw/deep block rule/), 10 - $used{requests} - 1);
	$used{$_} += 10 for qw/deep block rule/;
	$used{requests} += 1;
	is("@left", "@expected", "$name: what is used counts");
}

# Whether everything that was used still is. Takes nothing: each request is one too large, by one.
sub everything_is_there {
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @refused = map { my $r = complete(@$_); status($r) // 'none' } (
		[client => 'debt', max => 1],
		[client => 'budget', max => 5],
		map { [@$_, max => 1000 - $used{rule} - 4] }
			[client => 'deep'], [client => 'block'], [client => 'open', uri => '/rule/v1/completions'],
	);
	push @refused, status(get('/failures', 'X-API-Key: key-deep')) // 'none';
	my $debt = header(complete(client => 'debt', max => 1), 'Retry-After') // 0;
	is("@refused", '429 429 429 429 429 429', "$name: who was refused is refused");
	# 296 of 100 are used, and 94 may be for 6 to pass: 202 of 864 seconds.
	ok($debt <= 202 * 864 && $debt > 202 * 864 - 300, "$name: a debt is as large as it was")
		or diag($debt);
}

sub remaining {
	return header(complete(@_), 'x-ratelimit-remaining-tokens') // 'none';
}

# Waits until the file has all that was used before. It is written when something changes, so something
# does; and a snapshot that was under way may lack it, so it is to be written twice.
sub saved {
	my ($path) = @_;
	my $changed = 0;
	my $seen = identity($path);
	return poll {
		complete(client => 'saver');
		my $now = identity($path);
		$changed++ if $now ne $seen;
		$seen = $now;
		$changed >= 2;
	};
}

# Each time that it is written it is another file.
sub identity {
	my ($path) = @_;
	my @stat = Time::HiRes::stat($path);
	return @stat ? "$stat[1] $stat[9]" : '';
}

# Kills master and workers at once.
sub kill_all {
	my ($t) = @_;
	my ($master) = $t->read_file('nginx.pid') =~ /(\d+)/;
	my @workers = workers($t);
	kill 'KILL', $master, @workers;
	waitpid $master, 0;
	poll {
		my @alive = grep { kill 0, $_ } @workers;
		!@alive;
	};
	unlink $t->testdir() . '/nginx.pid';
}

# The workers that have a thread which writes.
sub writers {
	my ($t) = @_;
	return grep {
		my $pid = $_;
		grep { thread_name($_) eq 'tollgate-state' } glob("/proc/$pid/task/*/comm");
	} workers($t);
}

sub thread_name {
	my ($path) = @_;
	open my $file, '<', $path or return '';
	chomp(my $name = <$file> // '');
	return $name;
}

# 1 if nginx ends, and not well, instead of running.
sub start_and_fail {
	my ($t) = @_;
	my $dir = $t->testdir();
	my $nginx = $ENV{TEST_NGINX_BINARY} // '../nginx/objs/nginx';
	my @log = $t->has_version('1.19.5') ? ('-e', 'error.log') : ();
	my $pid = fork() // die "Can't fork: $!\n";
	if ($pid == 0) {
		open STDERR, '>', '/dev/null';
		exec $nginx, '-p', "$dir/", '-c', 'nginx.conf', @log or POSIX::_exit(0);
	}
	my $status;
	poll {
		my $ended = waitpid $pid, WNOHANG;
		$status = $? if $ended == $pid;
		defined $status;
	};
	return $status != 0 ? 1 : 0 if defined $status;
	kill 'TERM', $pid;
	waitpid $pid, 0;
	return 0;
}

###############################################################################
