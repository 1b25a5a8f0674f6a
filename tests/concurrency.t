#!/usr/bin/perl

# Limits on requests in flight: across workers, in tiers, blocks and rules; and every end of a request
# frees its place, once.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_price mock input=1 output=1;

    tollgate_tier eight  { concurrency 8; }
    tollgate_tier two    { concurrency 2; }
    tollgate_tier tokens { concurrency 2; tokens 100/d burst=100; requests 100r/h; }
    tollgate_tier money  { concurrency 2; budget 1/month; }
    tollgate_tier block  { concurrency 3; model big { concurrency 1; } }
    tollgate_tier open   { }

    tollgate_limit all  key=all concurrency=2;
    tollgate_limit each key=$tollgate_client concurrency=1;

    tollgate_audit_log audit.log;

    server {
        # Connections are spread over both workers.
        listen       127.0.0.1:8080 reuseport;
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

        location @engine {
            rewrite ^ /v1/completions break;
            proxy_pass http://127.0.0.1:8081;
        }

        location /all/ {
            tollgate_apply all;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /each/ {
            tollgate_apply all each;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /dead/ {
            proxy_pass http://127.0.0.1:8082/;
        }

        location /fallback/ {
            error_page 502 = @engine;
            proxy_pass http://127.0.0.1:8082/;
        }

        location /hasty/ {
            proxy_read_timeout 1s;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /file {
            default_type text/plain;
            alias %%TESTDIR%%/file;
        }

        location /dry/ {
            tollgate_dry_run on;
            proxy_pass http://127.0.0.1:8081/;
        }
    }
}

EOC

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(77)
	->write_file_expand('nginx.conf', $conf);

my %tiers = (
	eight => [qw/eight/],
	two => [qw/other reload lowered dry ended get quit/],
	tokens => ['tokens'],
	money => ['money'],
	block => ['block'],
	open => [qw/open-1 open-2 open-3/],
);
$t->write_file('file', 'FILE');
$t->write_file('keys.json', keys_file(map {
	my $tier = $_;
	map { { key => "key-$_", client => $_, tier => $tier } } @{$tiers{$tier}};
} sort keys %tiers));
start_engine($t, 8081);
$t->run();

###############################################################################

# across workers

my $connections = connections_to_workers(2, 5);
my ($first, $second) = values %$connections;
my @held;
for (1 .. 4) {
	for my $connection (shift @$first, shift @$second) {
		my (undef, $head) = hold(client => 'eight', on => $connection);
		push @held, $connection if status($head) == 200;
	}
}
is(@held, 8, 'two workers: as many in flight as may be');
for my $connection (@$first, @$second) {
	my $r = $connection->ask(completion(client => 'eight'));
	is(status($r), 429, 'two workers: no more');
	is_deeply([@{content_json($r)->{error}}{qw/type code/}], ['requests', 'rate_limit_exceeded'],
		'two workers: says so');
	is(header($r, 'Retry-After'), 1, 'two workers: when to try again, nobody knows');
	is(header($r, 'x-should-retry'), undef, 'two workers: but it makes sense');
}
is(status(complete(client => 'other')), 200, 'two workers: another client');
$held[0]->close();
passes('two workers: one has ended', client => 'eight');
$_->close() for @held;
is_free('two workers: all have ended', 8, client => 'eight');

# however a request ends

complete(client => 'ended') for 1 .. 10;
is_free('the normal end', 2, client => 'ended');
complete(client => 'ended', stream => 1) for 1 .. 10;
is_free('the normal end of a stream', 2, client => 'ended');
for (1 .. 10) {
	my ($connection) = hold(client => 'ended');
	$connection->close();
	poll { status(complete(client => 'ended')) == 200 };
}
is_free('the client leaves', 2, client => 'ended');
for (
	['an error of the engine', '500', lines => ['X-Mock-Status: 500']],
	['no engine', '502', uri => '/dead/v1/completions'],
	['an engine in place of another', '200', uri => '/fallback/v1/completions'],
	['a stream that the engine cuts', '200', stream => 1, lines => ['X-Mock-Cut-After: 3']],
	['an answer that the engine cuts', '200', lines => ['X-Mock-Cut-After: 3']],
	['no answer in time', '504', uri => '/hasty/v1/completions', lines => ['X-Mock-Latency-Ms: 60000']],
	['no end of the stream in time', '200', uri => '/hasty/v1/completions', hold => 1],
	['a body that is no JSON', '400', body => { stream => 'x' }],
) {
	my ($name, $expected, %options) = @$_;
	my @statuses = map { status_when_free(client => 'ended', %options) } 1 .. 3;
	is("@statuses", "$expected $expected $expected", $name);
	is_free($name, 2, client => 'ended');
}

for (1 .. 3) {
	status_when_free(client => 'ended');
	my $connection = connection();
	$connection->send(completion(client => 'ended', lines => ['X-Mock-Latency-Ms: 60000']));
	ok((poll { stats(8081)->{active} == 1 }), 'waiting for the engine');
	$connection->close();
	poll { stats(8081)->{active} == 0 };
}
is_free('the client leaves before the answer', 2, client => 'ended');

is(status(http("GET /v1/models HTTP/1.0\r\nHost: localhost\r\nX-API-Key: key-get\r\n\r\n")), 200,
	'a GET') for 1 .. 3;
is(status(http("GET /file HTTP/1.0\r\nHost: localhost\r\nX-API-Key: key-get\r\n\r\n")), 200,
	'a file') for 1 .. 3;
is_free('a GET', 2, client => 'get');

# all or nothing

complete(client => 'tokens', max => 70, tokens => 70);
is(status(complete(client => 'tokens', max => 90)), 429, 'refused by tokens') for 1 .. 3;
my @two = held(2, client => 'tokens', max => 1);
my $r = complete(client => 'tokens', max => 1);
is(status($r), 429, 'what tokens refused takes no place: two pass, and no third');
$_->close() for @two;
passes('refused: later', client => 'tokens', max => 1, tokens => 0);
$r = complete(client => 'tokens', max => 1, tokens => 0);
is(header($r, 'x-ratelimit-remaining-requests'), 100 - 5, 'what concurrency refused takes no request');

is(status(complete(client => 'money', model => 'unknown')), 403, 'refused without a price') for 1 .. 3;
is_free('refused without a price', 2, client => 'money', max => 1);

# blocks and rules

my ($big) = held(1, client => 'block', model => 'big');
is(status(complete(client => 'block', model => 'big')), 429, 'a block: one of this model');
is(status(complete(client => 'block')), 200, 'a block: others pass');
my @others = held(2, client => 'block');
is(status(complete(client => 'block')), 429, 'a block: of all models, three');
$big->close();
passes('a block: for each other', client => 'block');
passes('a block: for itself', client => 'block', model => 'big');
$_->close() for @others;

my @all = (uri => '/all/v1/completions');
@two = map { (hold(client => "open-$_", @all))[0] } 1 .. 2;
is(status(complete(client => 'open-3', @all)), 429, 'a rule: two of all clients');
is(status(complete(client => 'open-3', uri => '/each/v1/completions')), 429, 'two rules: each refuses');
is(status(complete(client => 'open-3')), 200, 'a rule: not elsewhere');
$_->close() for @two;
is_free('a rule', 2, client => 'open-3', @all);
@two = held(1, client => 'open-1', uri => '/each/v1/completions');
is(status(complete(client => 'open-1', uri => '/each/v1/completions')), 429, 'two rules: the other one');
is(status(complete(client => 'open-2', uri => '/each/v1/completions')), 200,
	'two rules: what one refused, the other has not taken');
$_->close() for @two;

# dry_run

@two = held(2, client => 'dry');
is(status(complete(client => 'dry', uri => '/dry/v1/completions')), 200, 'dry_run: one too many passes');
is(status(complete(client => 'dry')), 429, 'and is refused elsewhere');
$_->close() for @two;
is_free('dry_run: a place that was not taken is not given back', 2, client => 'dry');
my @dry;
poll { @dry = grep { $_->{dry_run} } audit_lines($t, 'audit.log', 1) };
is("$dry[0]{decision} $dry[0]{reason}", 'deny concurrency_exceeded', 'dry_run: the log');

# reload

@two = held(2, client => 'reload');
my @lowered = held(2, client => 'lowered');
reload_and_wait($t);
is(status(complete(client => 'reload')), 429, 'reload: what old workers have in flight counts');
$two[0]->close();
passes('reload: until it ends', client => 'reload');
$two[1]->close();
is_free('reload: and all is free again', 2, client => 'reload');

change($t, 'two    { concurrency 2', 'two    { concurrency 1');
is(status(complete(client => 'lowered')), 429, 'a lowered limit');
$lowered[0]->close();
is(status(complete(client => 'lowered')), 429, 'a lowered limit: one of one still is in flight');
$lowered[1]->close();
passes('a lowered limit: none is in flight', client => 'lowered');
my ($one) = held(1, client => 'lowered');
change($t, 'two    { concurrency 1', 'two    { concurrency 3');
is_free('a raised limit: two more', 2, client => 'lowered');
$one->close();
is_free('a raised limit: three', 3, client => 'lowered');

# a worker that ends, and is no more there to end its requests

@two = held(3, client => 'quit');
is(status(complete(client => 'quit')), 429, 'before workers end');
my %ended = map { $_ => 1 } workers($t);
kill 'TERM', keys %ended;
poll { my @now = workers($t); @now == 2 && !grep { $ended{$_} } @now };
is_free('workers that were told to end', 3, client => 'quit');

###############################################################################

# Whether this request passes, now or soon.
sub passes {
	my ($name, %options) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $passed = poll { status(complete(%options)) == 200 };
	ok($passed, $name);
}

# The status of the answer, as soon as there is a place for the request.
sub status_when_free {
	my (%options) = @_;
	my $status;
	poll { ($status = status(complete(%options)) // 'none') ne '429' };
	return $status;
}

# So many requests in flight, as soon as there are places for them.
sub held {
	my ($count, %options) = @_;
	my @held;
	poll {
		my ($connection, $head) = hold(%options);
		push @held, $connection if (status($head) // 0) == 200;
		@held == $count;
	};
	return @held;
}

# Whether exactly so many requests may be in flight, now or soon.
sub is_free {
	my ($name, $count, %options) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($passed, $next) = (0, 0);
	poll {
		my @connections;
		$passed = 0;
		for (1 .. $count) {
			my ($connection, $head) = hold(%options);
			push @connections, $connection;
			$passed++ if (status($head) // 0) == 200;
		}
		$next = status(complete(%options, tokens => 1)) if $passed == $count;
		$_->close() for @connections;
		$passed == $count;
	};
	is("$passed $next", "$count 429", "$name: $count may be in flight");
}

sub change {
	my ($t, $from, $to) = @_;
	my $at = index $conf, $from;
	die "no '$from'\n" if $at < 0;
	substr $conf, $at, length $from, $to;
	$t->write_file_expand('nginx.conf', $conf);
	reload_and_wait($t);
}

###############################################################################
