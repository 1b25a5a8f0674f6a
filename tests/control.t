#!/usr/bin/perl

# tollgate_control: a socket on which any worker answers root, and on which an operator gives a client a fresh
# limit, or ends its requests.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ header json keys_file status /;
use Tollgate::Client;
use Tollgate::Conf;
use Tollgate::Control;
use Tollgate::Engine;
use Tollgate::H2;
use Tollgate::Metered qw/ audited new_id /;

use IO::Select;
use POSIX qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();
plan(skip_all => 'only root can be somebody else') if $> != 0;

# The workers are killed in the middle.
my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->todo_alerts()->plan(91);
my $d = $t->testdir();

my $has_http2 = $t->has_module('http_v2');
my $http2 = !$has_http2 ? ''
	: $t->has_version('1.25.1') ? 'listen 127.0.0.1:8082; http2 on;' : 'listen 127.0.0.1:8082 http2;';

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;
error_log %%TESTDIR%%/error.log notice;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m state=%%TESTDIR%%/state;
    tollgate_control unix:%%TESTDIR%%/control.sock;

    tollgate_tier pro {
        requests 3r/d;
        tokens   1k/d;
        budget   1000/day;
        model special* { requests 1r/d; }
    }
    tollgate_tier free   { }
    tollgate_tier queued { concurrency 1 queue=4 timeout=1h; }
    tollgate_price * input=1000 output=1000;
    tollgate_audit_log %%TESTDIR%%/audit.log;

    proxy_buffering off;
    keepalive_requests 1000000;

    server {
        # Connections are spread over all workers.
        listen       127.0.0.1:8080 reuseport;
        %%HTTP2%%
        server_name  localhost;

        location / {
            tollgate on;
            tollgate_api_keys %%TESTDIR%%/keys.json;
            proxy_pass http://127.0.0.1:8081;
        }

        location /dry/ {
            tollgate on;
            tollgate_api_keys %%TESTDIR%%/keys.json;
            tollgate_dry_run on;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /pid {
            return 200 $pid;
        }
    }
}

EOF

$conf =~ s/%%HTTP2%%/$http2/;
my %clients = (
	(map { $_ => 'pro' } qw/one two three spent/),
	(map { $_ => 'free' } qw/loud other h2 dry/),
	queued => 'queued',
);
$t->write_file('keys.json',
	keys_file(map { { key => "key-$_", client => $_, tier => $clients{$_} } } sort keys %clients));
$t->write_file_expand('nginx.conf', $conf);
start_engine($t, 8081);
$t->run();

my $path = "$d/control.sock";
# That the path is not there is told by the answer to this.
my $answers = 'unknown_order';

###############################################################################

# a socket for nobody else

is(sprintf('%o', (stat $path)[2] & 0777), '600', 'the socket is closed to others');
chmod 0755, $d;
is(as_nobody(sub { control_open($path) ? 'heard' : 'refused' }), 'refused', 'who can not connect');
chmod 0666, $path;
is(as_nobody(sub { control_line($path, qq/{"command":"dropped","order":9}\n/) // 'no end' }), '',
	'and whom nobody hears if they can');
like($t->read_file('error.log'), qr/process \d+ of user 65534 is not heard/, 'that is told');
chmod 0600, $path;

# what is no request

is(control($path, 'dropped', order => 9), $answers, 'a request');
for my $case (
	['', '', 'nothing'],
	["\n", 'malformed', 'an empty line'],
	["\0\xff\n", 'malformed', 'rubbish'],
	["GET / HTTP/1.0\r\n\r\n", 'malformed', 'another protocol'],
	['{"command":"stop"}' . "\n", 'malformed', 'an unknown command'],
	['{"command":"reset","client":"one","all":1}' . "\n", 'malformed', 'an unknown member'],
	['{"command":"reset","client":"one","limit":"concurrency"}' . "\n", 'malformed', 'what can not begin anew'],
	['x' x 8193, 'too_long', 'a line that is too long'],
	['x' x 1_000_000, 'too_long', 'and one that is far too long'],
	['{"command":"dropped","order":9}' . "\r\n" . '{"command":"stop"}' . "\n", $answers, 'a second line is not read'],
) {
	my ($text, $code, $name) = @$case;
	my $socket = control_open($path);
	local $SIG{PIPE} = 'IGNORE';
	syswrite $socket, $text;
	shutdown $socket, 1;
	my $answer = control_answer($socket) // 'no end';
	is($code eq '' ? $answer : ($answer =~ /^\{"error":\{"code":"(\w+)","message":.*\}\}\n\z/)[0], $code, $name);
}
my $unended = control_open($path);
syswrite $unended, '{"command":"dropped",';
syswrite $unended, '"order":9}';
shutdown $unended, 1;
like(control_answer($unended), qr/$answers/, 'a line in parts, without an end of line');

# many connections, and slow ones, are in nobody's way

my @idle = map { control_open($path) } 1 .. 100;
is(scalar(grep { defined } @idle), 100, 'many connections');
is(status(complete(client => 'other', max => 1)), 200, 'keep no request waiting');
my @kept = grep { !IO::Select->new($_)->can_read(0) } @idle;
ok(@kept <= 64, 'and are not all kept') or diag(scalar @kept);
is(control_answer($kept[-1]) // 'no end', '', 'who says nothing is cut off, after a while');
poll { control($path, 'dropped', order => 9) };
is(control($path, 'dropped', order => 9), $answers, 'and others come again');
@idle = @kept = ();

# a fresh limit

is(status(complete(client => 'one', max => 1)), 200, 'the limit is used') for 1 .. 3;
is(status(complete(client => 'one', max => 1)), 429, 'the limit is spent');
complete(client => 'two', max => 1) for 1 .. 3;
is_deeply(control($path, 'reset', client => 'one', limit => 'tokens'), { reset => { slots => 1 } },
	'another one of its limits begins anew');
is(status(complete(client => 'one', max => 1)), 429, 'and that one is spent still');
is_deeply(control($path, 'reset', client => 'one', limit => 'requests'), { reset => { slots => 1 } },
	'the limit begins anew');
is(header(complete(client => 'one', max => 1), 'x-ratelimit-remaining-requests'), 2, 'it is all there');
is(status(complete(client => 'two', max => 1)), 429, 'that of the other client is spent');
is_deeply(control($path, 'reset', client => 'nobody'), { reset => { slots => 0 } },
	'of a client that took nothing, nothing begins anew');
like($t->read_file('error.log'), qr/\[notice\].*by order of process $$ of user 0, client "one" begins anew/,
	'who did it is in the error log');

is(status(complete(client => 'three', model => 'special-1', max => 1)), 200, 'the limit of a model is used');
is(status(complete(client => 'three', model => 'special-1', max => 1)), 429, 'and spent');
is_deeply(control($path, 'reset', client => 'three'), { reset => { slots => 2 } },
	'all limits of a client begin anew');
is(status(complete(client => 'three', model => 'special-1', max => 1)), 200, 'and so does that of the model');

my $id = new_id();
my ($stream) = hold(client => 'spent', max => 100, lines => ["X-Request-ID: $id"]);
is_deeply(control($path, 'reset', client => 'spent', limit => 'tokens'), { reset => { slots => 1 } },
	'tokens begin anew while a request is in flight');
ok(goes_on($stream), 'which goes on');
$stream->close();
audited($t, $id);
# 1 + 4 + 1 are reserved for this one, and what the other one did not use was forgiven already.
is(header(complete(client => 'spent', max => 1), 'x-ratelimit-remaining-tokens'), 1000 - 6,
	'and is not given back what it had reserved');

# what clients have left, and the overview

my $client = control($path, 'client', client => 'three');
is_deeply([map { "$_->{name} $_->{used}" . (defined $_->{model} ? " of $_->{model}" : '') } @{$client->{limits}}],
	['requests 3r/d 1', 'tokens 1k/d 2', 'budget 1000/day 0.002', 'special* requests 1r/d 1 of special*'], 'what a client has left')
	or diag(explain $client);
is(control($path, 'client', client => 'nobody'), 'unknown_client', 'a client that was not seen');
my $list = control($path, 'clients', sort => 'name', search => 't', limit => 2);
is_deeply([$list->{total}, map { $_->{client} } @{$list->{clients}}], [4, 'other', 'spent'], 'some of the clients');
is(control($path, 'clients', sort => 'size'), 'malformed', 'in no order that there is none of');
is(control($path, 'status')->{workers}, 2, 'the overview of all workers');

# the requests of a client end, in all workers

my $workers = connections_to_workers(2, 1);
my @streams = map { (hold(client => 'loud', on => $workers->{$_}[0]))[0] } sort keys %$workers;
my ($other) = hold(client => 'other');
$id = new_id();
push @streams, (hold(client => 'loud', lines => ["X-Request-ID: $id"]))[0];
is_deeply(control($path, 'drop', client => 'loud'), { drop => { order => 0 } }, 'the requests of a client are dropped');
ok(ends($_), 'one of them ends') for @streams;
is_deeply(control($path, 'dropped', order => 0), { dropped => { requests => 3 } }, 'all of them are counted');
ok(goes_on($other), 'that of another client goes on');
is(logged($t, $id), 'allow dropped partial', 'the log says so');
ok((poll { stats(8081)->{active} == 1 }), 'the engine has nothing to do for them');
is(status(complete(client => 'loud', max => 1)), 200, 'and the client may come again');
$other->close();

my ($dry) = hold(client => 'dry', uri => '/dry/v1/completions');
control($path, 'drop', client => 'dry');
ok(ends($dry), 'where nothing is refused, requests end, too');
is(control($path, 'drop', client => 'nobody')->{drop}{order}, 2, 'a client without requests can be dropped');
is_deeply(control($path, 'dropped', order => 2), { dropped => { requests => 0 } }, 'and nothing ends');
is(control($path, 'dropped', order => 3), 'unknown_order', 'no order was given of that number');

# and those that wait for their turn

my ($first) = hold(client => 'queued');
my $queued_id = new_id();
my $waiting = connection();
$waiting->send(completion(client => 'queued', max => 1, lines => ["X-Request-ID: $queued_id"]));
ok((poll { waits($waiting) }), 'one waits');
control($path, 'drop', client => 'queued');
ok(ends($first), 'who runs is dropped');
my $refused = $waiting->answer(head => 1);
ok(!defined $refused || status($refused) == 403, 'and so is who waits');
is(logged($t, $queued_id), 'deny dropped none', 'the log says so of it');
is(status(complete(client => 'queued', max => 1)), 200, 'and its place is free');

# over HTTP/2 the stream ends, and others on the connection go on

SKIP: {
	skip 'no HTTP/2', 3 unless $has_http2;
	my $h2 = Tollgate::H2->new(port(8082));
	my $body = json({ model => 'mock', prompt => [1], stream => \1 });
	my ($cut, $whole) = map {
		$h2->post('/v1/completions', $body, 'X-API-Key' => "key-$_->[0]", 'X-Mock-Tokens' => $_->[1], @$_[2, 3]);
	} ['h2', 4, 'X-Mock-Hold', 1], ['other', 40, 'X-Mock-Token-Delay-Ms', 50];
	poll { $h2->receive(); $h2->{data}{$cut} && $h2->{data}{$whole} };
	control($path, 'drop', client => 'h2');
	ok((poll { $h2->receive(); $h2->{reset}{$cut} || $h2->{ended}{$cut} }), 'HTTP/2: the stream ends');
	ok((poll { $h2->receive(); $h2->{ended}{$whole} }), 'HTTP/2: that of another client runs on');
	like($h2->{data}{$whole}, qr/\[DONE\]/, 'HTTP/2: to its end');
	$h2->close();
}

# the configuration changes

my $orders = control($path, 'drop', client => 'nobody')->{drop}{order};
my ($long) = hold(client => 'other');
reload_and_wait($t);
is_deeply(control($path, 'dropped', order => $orders), { dropped => { requests => 0 } },
	'over a reload the socket stays, and what it knows');
is(sprintf('%o', (stat $path)[2] & 0777), '600', 'closed to others');
control($path, 'drop', client => 'other');
ok(ends($long), 'a request of an old worker ends, too');

$t->write_file_expand('nginx.conf', $conf =~ s/control\.sock/moved.sock/r);
reload_and_wait($t);
ok(!-e $path, 'another path: the old socket is gone');
is(control("$d/moved.sock", 'dropped', order => 999), $answers, 'and the new one answers');
is(sprintf('%o', (stat "$d/moved.sock")[2] & 0777), '600', 'closed to others as well');
$t->write_file_expand('nginx.conf', $conf =~ s/^ +tollgate_control.*\n//mr);
reload_and_wait($t);
ok(!-e "$d/moved.sock", 'no socket: it is gone');
is(status(complete(client => 'other', max => 1)), 200, 'requests are answered');
$t->write_file_expand('nginx.conf', $conf);
reload_and_wait($t);
is(control($path, 'dropped', order => 999), $answers, 'the socket is back');

# nginx -t leaves it alone; and two can not have the same one

my ($status, $output) = configtest($t, $conf);
is($status, 0, 'nginx -t accepts a socket that is in use') or diag($output);
is(control($path, 'dropped', order => 999), $answers, 'and leaves it alone');
my $other_conf = $t->read_file('nginx.conf') =~ s/:${\ port(8080)} reuseport/:${\ port(8083)}/r;
$other_conf =~ s/^ +listen +127\S+:${\ port(8082)}.*\n//m;
$t->write_file('other.conf', $other_conf =~ s/\bnginx\.pid/other.pid/r =~ s/ state=\S+;/;/r);
my $nginx = $ENV{TEST_NGINX_BINARY} // $Test::Nginx::NGINX;
my $log = $t->has_version('1.19.5') ? '-e other.log' : '';
$output = `$nginx -p $d/ -c other.conf $log 2>&1`;
isnt($?, 0, 'another nginx can not have it');
like($output, qr/"tollgate_control".*another process listens at "\Q$path\E"; give each nginx a socket of its own/,
	'and is told so');
is(control($path, 'dropped', order => 999), $answers, 'whoever has it keeps it');

# what was reset is in the state; a socket that a killed nginx leaves behind is no obstacle

complete(client => 'two', max => 1) for 1 .. 3;
control($path, 'reset', client => 'two', limit => 'requests');
$t->stop();
ok(!-e $path, 'the socket goes with nginx');
$t->run();
is(header(complete(client => 'two', max => 1), 'x-ratelimit-remaining-requests'), 2, 'what was reset is in the state');

my ($master) = $t->read_file('nginx.pid') =~ /(\d+)/;
my @workers = workers($t);
kill 'STOP', $master;
kill 'KILL', @workers, $master;
waitpid $master, 0;
# They are nobody's children, and may stay as zombies; but they have their ports until they are gone.
poll { !grep { my $stat = do { local (@ARGV, $/) = "/proc/$_/stat"; -e $ARGV[0] ? <> : '' }; $stat =~ /\) [^Z]/ } @workers };
unlink "$d/nginx.pid";
ok(-S $path, 'killed: the socket is there still');
$t->run();
is(control($path, 'dropped', order => 999), $answers, 'the next nginx takes its place');

# what can't be

mkdir "$d/open";
chmod 0777, "$d/open";
$usual{http} = "tollgate_zone zone=tollgate:1m;\ntollgate_tier free { }\n";
check_refused($t, ["a socket: $_->[0]", [$_->[1]], http => $usual{http} . $_->[2]]) for (
	['without "unix:"', 'takes the path of a socket, such as "unix:/run/tollgate.sock"', "tollgate_control $d/x; # !"],
	['no absolute path', 'takes the path of a socket', 'tollgate_control unix:x.sock; # !'],
	['a path that is too long', 'and a socket\'s is at most 107', 'tollgate_control unix:/' . 'x' x 107 . '; # !'],
	['a folder that is not there', 'in a folder that isn\'t there', "tollgate_control unix:$d/none/x.sock; # !"],
	['a folder of everybody\'s', 'every user may write in the folder', "tollgate_control unix:$d/open/x.sock; # !"],
	['a file', 'is there, and no socket', "tollgate_control unix:$d/audit.log; # !"],
	['two of them', 'is duplicate', "tollgate_control unix:$d/x.sock;\ntollgate_control unix:$d/y.sock; # !"],
);
ok(!-e "$d/x.sock", 'nginx -t leaves no socket behind');

###############################################################################

# What the sub returns, called by somebody else.
sub as_nobody {
	my ($sub) = @_;
	pipe my $in, my $out or die "Can't make a pipe: $!\n";
	my $pid = fork() // die "Can't fork: $!\n";
	if ($pid == 0) {
		POSIX::setgid(65534);
		POSIX::setuid(65534);
		syswrite $out, eval { $sub->() } // 'died';
		POSIX::_exit(0);
	}
	close $out;
	my $text = do { local $/; <$in> };
	waitpid $pid, 0;
	return $text // '';
}

# Whether the connection has not ended by now.
sub goes_on {
	my ($connection) = @_;
	while (IO::Select->new($connection->{socket})->can_read(0)) {
		sysread $connection->{socket}, $connection->{buffer}, 65536, length $connection->{buffer} or return 0;
	}
	return 1;
}

# Whether the connection ends, with whatever it had to say before.
sub ends {
	my ($connection) = @_;
	return !$connection->{ended} && !defined $connection->peek(sub { 0 }) && $connection->{ended};
}

# Whether a request that was sent waits: it gets no answer, while nobody else of its client passes.
sub waits {
	my ($connection) = @_;
	return !IO::Select->new($connection->{socket})->can_read(0.2);
}

# What the log says of a request.
sub logged {
	my ($t, $id) = @_;
	my ($line) = audited($t, $id);
	return join ' ', map { $line->{$_} // '-' } qw/decision reason usage/;
}

###############################################################################
