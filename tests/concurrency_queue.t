#!/usr/bin/perl

# The queue of a concurrency limit: in order of arrival, across workers, no longer than said, and for
# those only who are still there.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;

use IO::Select;
use Time::HiRes qw/clock_gettime CLOCK_MONOTONIC/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->has_daemon('curl');

my $has_http2 = $t->has_module('http_v2') && `curl -V 2>/dev/null` =~ /\bHTTP2\b/;
my $listen_http2 = $t->has_version('1.25.1')
	? 'listen 127.0.0.1:8083; http2 on;' : 'listen 127.0.0.1:8083 http2;';

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;

    tollgate_tier one    { concurrency 1 queue=16 timeout=1h; }
    tollgate_tier two    { concurrency 2 queue=16 timeout=1h; tokens 100/d burst=1000; }
    tollgate_tier short  { concurrency 1 queue=2 timeout=1h; }
    tollgate_tier hasty  { concurrency 1 queue=2 timeout=300ms; }
    tollgate_tier tokens { concurrency 1 queue=16 timeout=1h; tokens 100/d burst=100; }
    tollgate_tier block  { model big { concurrency 1 queue=16 timeout=1h; } }
    tollgate_tier none   { concurrency 1; }
    tollgate_tier open   { }

    # A key of the same client with one of these is refused at once where so many wait.
    tollgate_tier probe-1 { concurrency 1 queue=1 timeout=300ms; }
    tollgate_tier probe-2 { concurrency 1 queue=2 timeout=300ms; }
    tollgate_tier probe-3 { concurrency 1 queue=3 timeout=300ms; }
    tollgate_tier probe-4 { concurrency 1 queue=4 timeout=300ms; }
    tollgate_tier probe-5 { concurrency 1 queue=5 timeout=300ms; }

    tollgate_limit rule key=all concurrency=1 queue=16 timeout=1h;
    tollgate_limit wait key=all concurrency=1 queue=16 timeout=300ms;

    tollgate_audit_log audit.log;

    server {
        # Connections are spread over both workers.
        listen       127.0.0.1:8080 reuseport;
        %%LISTEN_HTTP2%%
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;
        proxy_buffering off;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /pid {
            tollgate off;
            return 200 $pid;
        }

        location /rule/ {
            tollgate_apply rule;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /wait/ {
            tollgate_apply wait;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /dry/ {
            tollgate_dry_run on;
            proxy_pass http://127.0.0.1:8081/;
        }
    }
}

EOC

$conf =~ s/%%LISTEN_HTTP2%%/$has_http2 ? $listen_http2 : ''/e;
$t->plan(69)->write_file_expand('nginx.conf', $conf);

my %tiers = (
	one => [qw/order leaves spilled reload dry http2 crowd/],
	two => ['two'],
	short => ['short'],
	hasty => ['hasty'],
	tokens => ['tokens'],
	block => ['block'],
	open => [qw/open-1 open-2/],
);
$t->write_file('keys.json', keys_file(map {
	my $tier = $_;
	map {
		my $client = $_;
		{ key => "key-$client", client => $client, tier => $tier },
			map { { key => "key-$client-$_", client => $client, tier => "probe-$_" } } 1 .. 5;
	} @{$tiers{$tier}};
} sort keys %tiers));
start_engine($t, 8081);
$t->run();

###############################################################################

# in order of arrival

my $connections = connections_to_workers(2, 3);
my ($first, $second) = values %$connections;

my ($holder, $head) = hold(client => 'order', on => shift @$first);
is(status($head), 200, 'the first one passes');
my @waiting = (shift @$second, shift @$first, shift @$second, shift @$second, shift @$first);
for my $number (1 .. 5) {
	queue(client => 'order', on => $waiting[$number - 1]);
	ok(waits('order', $number), "so many wait, in both workers: $number");
}
is(stats(8081)->{started}, 1, 'the engine knows nothing of them');
my @order;
for (1 .. 5) {
	$holder->close();
	my ($next) = answered(@waiting);
	push @order, $next;
	$holder = $waiting[$next - 1];
	is(status($holder->answer(head => 1)), 200, 'the next one passes');
	is(stats(8081)->{started}, 1 + @order, 'and only one');
}
is("@order", '1 2 3 4 5', 'in order of arrival, across workers');
$holder->close();
passes('when all have gone', client => 'order');

# of two places, each that becomes free is taken

my @held = map { (hold(client => 'two', max => 10))[0] } 1 .. 2;
@waiting = map { queue(client => 'two', max => 10) } 1 .. 4;
my %passed;
for my $round (1, 2) {
	$_->close() for @held;
	@held = ();
	poll {
		for my $number (answered(@waiting)) {
			next if $passed{$number}++;
			push @held, $waiting[$number - 1];
		}
		@held == 2;
	};
	is(@held, 2, "two places, round $round");
	is(status($_->answer(head => 1)), 200, "two places, round $round: pass") for @held;
}
$_->close() for @held;

# whoever waits has taken nothing

my ($other) = hold(client => 'tokens', max => 10);
my $waiting = queue(client => 'tokens', max => 10);
ok(waits('tokens', 1), 'tokens: one waits');
my $r = complete(client => 'tokens', max => 81);
is(status($r), 429, 'tokens: one is refused by tokens, and need not wait for that');
is(header($r, 'x-ratelimit-remaining-tokens'), 85, 'tokens: whoever waits has taken none');
$other->close();
is(status($waiting->answer(head => 1)), 200, 'tokens: and passes then');
$waiting->close();

# the queue is full

($holder) = hold(client => 'short');
@waiting = map { my $c = last_place('short', $_); ok($c, "full: $_ wait"); $c } 1, 2;
my $sent = now();
$r = complete(client => 'short');
is(status($r), 429, 'full: no third one');
is(content_json($r)->{error}{code}, 'rate_limit_exceeded', 'full: says so');
is(header($r, 'Retry-After'), 1, 'full: when to try again, nobody knows');
$holder->close();
is(status($waiting[0]->answer(head => 1)), 200, 'full: the first of those who wait');
my $again = last_place('short', 2);
ok($again, 'full: there is a place in the queue again');
$waiting[0]->close();
is(status($waiting[1]->answer(head => 1)), 200, 'full: the second');
$waiting[1]->close();
is(status($again->answer(head => 1)), 200, 'full: and who came later');
$again->close();

# it takes too long

($holder) = hold(client => 'hasty');
$sent = now();
$r = complete(client => 'hasty');
is(status($r), 429, 'timeout: refused');
cmp_ok(now() - $sent, '>=', 0.3, 'timeout: not before its time');
is(content_json($r)->{error}{code}, 'rate_limit_exceeded', 'timeout: says so');
is(stats(8081)->{active}, 1, 'timeout: the engine knows nothing of it');
$waiting = queue(client => 'hasty');
$holder->close();
like(status($waiting->answer(head => 1)), qr/200|429/, 'timeout: in time, or not');
$waiting->close();
passes('timeout: later', client => 'hasty');
$sent = now();
($holder) = hold(client => 'open-1', uri => '/wait/v1/completions');
$sent = now();
is(status(complete(client => 'open-2', uri => '/wait/v1/completions')), 429, 'timeout: of a rule');
cmp_ok(now() - $sent, '>=', 0.3, 'timeout: of a rule: not before its time');
$holder->close();

# the client leaves

my $started = stats(8081)->{started};
($holder) = hold(client => 'leaves');
@waiting = map { my $c = queue(client => 'leaves'); waits('leaves', $_); $c } 1 .. 3;
ok(waits('leaves', 3), 'leaves: three wait');
$waiting[0]->close();
$waiting[2]->close();
ok((poll { !waits_now('leaves', 2) }), 'leaves: two of them leave');
ok(waits('leaves', 1), 'leaves: one stays');
$holder->close();
is(status($waiting[1]->answer(head => 1)), 200, 'leaves: and passes');
is(stats(8081)->{started}, $started + 2, 'leaves: the engine knows nothing of those who left');
$waiting[1]->close();
my @left;
poll { @left = grep { $_->{client} eq 'leaves' && $_->{status} == 499 && !$_->{upstream} }
	audit_lines($t, 'audit.log', 1); @left == 2 };
is(@left, 2, 'leaves: the log has a line for each of them');

# a body in a file

($holder) = hold(client => 'spilled');
my $large = completion(client => 'spilled', max => 1, tokens => 1, close => 1, input => 20_000);
my $spilled = connection();
$spilled->send($large);
ok(waits('spilled', 1), 'a large body: it waits');
$holder->close();
$r = $spilled->answer();
is(status($r), 200, 'a large body: passes');
is(content_json($r)->{usage}{prompt_tokens}, 20_000, 'a large body: is still there');

# reload

($holder) = hold(client => 'reload');
my $before = queue(client => 'reload');
ok(waits('reload', 1), 'reload: one waits');
reload_and_wait($t);
my $after = queue(client => 'reload');
ok(waits('reload', 2), 'reload: another one waits in a new worker');
$holder->close();
is(status($before->answer(head => 1)), 200, 'reload: the one in the old worker passes');
$before->close();
is(status($after->answer(head => 1)), 200, 'reload: then the one in the new worker');
$after->close();

# blocks and rules

($holder) = hold(client => 'block', model => 'big');
$waiting = queue(client => 'block', model => 'big');
is(status(complete(client => 'block')), 200, 'a block: nobody waits for another model');
$holder->close();
is(status($waiting->answer(head => 1)), 200, 'a block: the one of this model');
$waiting->close();

my @rule = (uri => '/rule/v1/completions');
($holder) = hold(client => 'open-1', @rule);
$waiting = queue(client => 'open-2', @rule);
is(status(complete(client => 'open-2')), 200, 'a rule: nobody waits elsewhere');
$holder->close();
is(status($waiting->answer(head => 1)), 200, 'a rule: one client waits for another');
$waiting->close();

# dry_run

($holder) = hold(client => 'dry');
is(status(complete(client => 'dry', uri => '/dry/v1/completions')), 200, 'dry_run: nobody waits');
$holder->close();

# a crowd: everybody has his turn

my @crowd = map { connection() } 1 .. 16;
$_->send(completion(client => 'crowd', tokens => 2)) for @crowd;
is(join(' ', map { status($_->answer()) // 'none' } @crowd), join(' ', (200) x 16), 'a crowd');

# HTTP/2

SKIP: {
	skip 'no HTTP/2', 4 unless $has_http2;
	my $url = 'http://127.0.0.1:' . port(8083) . '/v1/completions';
	my @options = ('--http2-prior-knowledge', '-H', 'X-API-Key: key-http2', '-H', 'Content-Type: application/json');
	my $body = '{"model":"mock","prompt":[1],"stream":true}';

	my $pid = open(my $stream, '-|', 'curl', '-sN', @options, '-H', 'X-Mock-Hold: 1', '-d', $body, $url)
		// die "Can't run curl: $!\n";
	like(scalar(<$stream>), qr/^data: /, 'HTTP/2: a stream');
	$waiting = queue(client => 'http2');
	ok(waits('http2', 1), 'HTTP/2: counts');
	kill 'KILL', $pid;
	is(status($waiting->answer(head => 1)), 200, 'HTTP/2: until its client leaves');

	$pid = open(my $second, '-|', 'curl', '-sN', @options, '-d', $body, $url)
		// die "Can't run curl: $!\n";
	waits('http2', 1);
	$waiting->close();
	local $/;
	like(scalar(<$second>), qr/\[DONE\]/, 'HTTP/2: waits for its turn');
}

###############################################################################

sub now {
	return clock_gettime(CLOCK_MONOTONIC);
}

# Sends a request that is going to wait: its connection.
sub queue {
	my (%options) = @_;
	my $connection = $options{on} // connection();
	$connection->send(completion(tokens => 1, %options, hold => 1));
	return $connection;
}

# A request that waits at this place, after which the queue may be full. Were it only asked whether so
# many wait, who asks might come first, and have the place.
sub last_place {
	my ($client, $count) = @_;
	my $connection;
	poll {
		$connection = queue(client => $client);
		return 1 if waits_now($client, $count);
		$connection->close();
		undef $connection;
		return 0;
	};
	return $connection;
}

# Whether so many requests of the client wait, at least: now, or soon. A further one is refused at
# once then. Else it has to wait for as long as its tier says.
sub waits {
	my ($client, $count) = @_;
	return poll { waits_now($client, $count) };
}

sub waits_now {
	my ($client, $count) = @_;
	my $sent = now();
	my $response = complete(client => "$client-$count");
	return (status($response) // 0) == 429 && now() - $sent < 0.3;
}

# The numbers, from 1, of the connections on which something has come; waits for the first.
sub answered {
	my (@connections) = @_;
	my %number = map { fileno($connections[$_ - 1]{socket}) // -1 => $_ } 1 .. @connections;
	delete $number{-1};
	my $select = IO::Select->new(grep { defined fileno $_ } map { $_->{socket} } @connections);
	return map { $number{fileno $_} } $select->can_read(20);
}

# Whether this request passes, now or soon.
sub passes {
	my ($name, %options) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $passed = poll { status(complete(%options)) == 200 };
	ok($passed, $name);
}

###############################################################################
