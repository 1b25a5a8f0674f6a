#!/usr/bin/perl

# How the server is doing, for operators: as JSON, and as a page for browsers that reads it.

use warnings;
use strict;

use Test::More;

use Test::Nginx;

use Digest::SHA qw/ sha256_base64 /;
use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get header keys_file status /;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy http_v2/)->has_daemon('curl')->plan(87)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone   zone=tollgate:1m;
    tollgate_tier   pro  { requests 5r/h; }
    tollgate_tier   ops  { scopes admin; }
    tollgate_price  test-model input=1000 output=2000;

    tollgate_default_tier  pro;
    tollgate_api_keys      keys.json;
    tollgate_audit_log     %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        location / {
            tollgate         on;
            tollgate_engine  vllm;
            proxy_pass       http://127.0.0.1:8081;
        }

        location = /status {
            tollgate_status;
        }

        location /operators/ {
            tollgate         on;
            tollgate_status;
        }

        location = /usage {
            tollgate         on;
            tollgate_usage;
        }

        location = /usage/header {
            tollgate                 on;
            tollgate_api_key_header  API-Key;
            tollgate_usage;
        }

        location /denied/ {
            deny             all;
            tollgate_status;
        }

        # From a refusal to the page.
        location /refused/ {
            tollgate         on;
            tollgate_engine  vllm;
            error_page       401 = /operators/;
            proxy_pass       http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        default_type application/json;

        location /v1/models {
            return 200 '{"object":"list","data":[]}';
        }

        location / {
            return 200 '{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}';
        }
    }
}

EOC

my @keys = (
	{ key => 'key-alice', client => 'alice' },
	{ key => 'key-admin', client => 'admin', tier => 'ops' },
);
$t->write_file('keys.json', keys_file(@keys));
$t->run();

my $html = 'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';

###############################################################################

# What was done is what is shown.

chat('alice') for 1 .. 6;
get('/v1/models', auth('nobody')) for 1 .. 3;

# What a worker has answered it counts then, while others answer already.
poll {
	my $now = seen(get('/status'));
	my ($client) = @{$now->{clients}{clients}};
	$client && $client->{requests} == 6 && sum(requests => @{$now->{minutes}}) == 9;
};

my $answer = get('/status');
is(status($answer), 200, 'the page');
is(header($answer, 'Content-Type'), 'application/json', 'it is JSON');
is(header($answer, 'Cache-Control'), 'no-store', 'it is not kept');
is(header($answer, 'Vary'), 'Accept', 'another one for browsers');
is(header($answer, 'X-Content-Type-Options'), 'nosniff', 'it is nothing else');
is(header($answer, 'Referrer-Policy'), 'no-referrer', 'nobody learns of its address');

my $seen = seen($answer);
is($seen->{workers}, 2, 'workers');
like($seen->{version}, qr/^\d+\.\d+\.\d+$/, 'version');
like($seen->{nginx}, qr/^1\.\d+\.\d+$/, 'version of nginx');
like($seen->{$_}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, $_) for qw/now since/;
is_deeply($seen->{refusals}, [
	{ reason => 'invalid_credential', count => 3, recent => 3 },
	{ reason => 'requests_exceeded', count => 1, recent => 1 },
], 'refusals by reason');

my ($model) = grep { $_->{model} eq 'test-model' } @{$seen->{models}};
is($model->{requests}, 5, 'requests for the model, of which one was refused before its body was read');
is($model->{input_tokens}, 50, 'its input');
is($model->{output_tokens}, 25, 'its output');
is($model->{cost}, '0.1', 'what that cost');

my @minutes = @{$seen->{minutes}};
is(scalar @minutes, 61, 'the last hour, and the running minute');
is(sum(requests => @minutes), 9, 'requests of the last hour');
is(sum(refused => @minutes), 4, 'those that were refused');
is(sum(input => @minutes), 50, 'input of the last hour');
cmp_ok($seen->{requests_per_second}, '>', 0, 'requests a second');
cmp_ok($seen->{tokens_per_second}, '>', 0, 'tokens a second');
is($seen->{in_flight}, 0, 'nothing is in flight');
is($seen->{panics}, 0, 'no panic');
my ($clients) = grep { $_->{part} eq 'clients' } @{$seen->{zone}};
cmp_ok($clients->{slots}, '>', 100, 'the slots of the zone');
is($clients->{used}, 1, 'those that are used');

is(scalar @{$seen->{keys}}, 1, 'one file with keys');
my $set = $seen->{keys}[0];
like($set->{paths}[0], qr!/keys\.json$!, 'its path');
is($set->{keys}, 2, 'its keys');
# One that starts late has yet to take them.
ok((poll { my $now = seen(get('/status'))->{keys}[0]; "$now->{workers_on_it} of $now->{workers}" eq '2 of 2' }),
	'in force in all workers');
is_deeply($set->{refused}, [], 'nothing is refused');
unlike($answer, qr/key-(alice|admin)/, 'no key');

my $list = $seen->{clients};
is_deeply([ @$list{qw/total offset limit sort search/} ], [ 1, 0, 50, 'used', '' ], 'the clients');
my ($client) = @{$list->{clients}};
is($client->{client}, 'alice', 'the one that came');
is("$client->{requests} $client->{refused}", '6 1', 'its requests');
is($client->{limits}[0]{left}, 0, 'what is left of its limit');

is(@{seen(get('/status?limit=0'))->{clients}{clients}}, 0, 'no client, if none is asked for');
is(seen(get('/status?search=lic&sort=name&token=x'))->{clients}{total}, 1, 'a part of a name');
is(seen(get('/status?search=bob'))->{clients}{total}, 0, 'a name that nobody has');
is_deeply(seen(get('/status?offset=1&limit=7'))->{clients},
	{ clients => [], total => 1, offset => 1, limit => 7, sort => 'used', search => '' }, 'beyond the last one');

my %wrong = (
	'offset=-1' => 'offset', 'limit=1001' => 'limit', 'sort=wealth' => 'sort', 'search=%ff' => 'search',
);
for (sort keys %wrong) {
	my $answer = get("/status?$_");
	is(status($answer), 400, $_);
	like(seen($answer)->{error}, qr/^"$wrong{$_}" is /, 'with what is wrong');
}

###############################################################################

# A browser gets a page that shows nothing by itself.

my $page = get('/status', $html);
is(status($page), 200, 'the page for browsers');
is(header($page, 'Content-Type'), 'text/html; charset=utf-8', 'it is HTML');
my $policy = header($page, 'Content-Security-Policy');
like($policy, qr/^default-src 'none';/, 'nothing may be in it');
like($policy, qr/frame-ancestors 'none'/, 'nor may it be in anything');
unlike($policy, qr/unsafe|\*|https?:/, 'without exceptions');
for (qw/style script/) {
	my ($text) = $page =~ m!<$_>(.*?)</$_>!s;
	like($policy, qr/\Q$_-src 'sha256-@{[ sha256_base64($text) ]}='\E;/, "but its own $_");
}
unlike($page, qr/alice|test-model|keys\.json/, 'it says nothing of the server');
unlike($page =~ s/\A.*?\r\n\r\n//sr =~ s!"http://www\.w3\.org/2000/svg"!!r, qr!https?://|url\(|\@import!,
	'nor does it need anything');

for my $accept ('text/html', 'text/html, */*;q=0.5', 'text/*') {
	like(get('/status', "Accept: $accept"), qr/<html/, "HTML for \"$accept\"");
}
for my $accept ('*/*', 'application/json', 'text/html;q=0.5, application/json', 'text/html;q=0') {
	like(get('/status', "Accept: $accept"), qr/^\{"version/m, "JSON for \"$accept\"");
}

like(http("HEAD /status HTTP/1.0\r\nHost: localhost\r\n$html\r\n\r\n"),
	qr/Content-Length: \d{4,}\r\n.*\r\n\r\n\z/s, 'its head');
is(status(http("POST /status HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n$html\r\n\r\n")), 405,
	'it takes nothing');

###############################################################################

# Where it is protected, what it shows is.

is(status(get('/operators/')), 401, 'nobody');
is(status(get('/operators/', auth('alice'))), 403, 'another client');
is(seen(get('/operators/', auth('admin')))->{workers}, 2, 'an operator');
like(get('/operators/', $html), qr/<html/, 'the page for browsers asks for a key itself');
is(status(get('/usage')), 401, 'usage of nobody');
like(get('/usage', $html), qr/^<body data-header="authorization">/m, 'its page knows how to send a key');
like(get('/usage/header', $html), qr/^<body data-header="api-key">/m, 'also in another header');
like(get('/status', $html), qr/^<body data-header="">/m, 'and where none is wanted');
is(status(get('/denied/', $html)), 403, 'who is denied by nginx gets none');
is(status(get('/refused/v1/models', $html)), 401, 'a refusal that leads to the page stays one');

my @h2 = ('--http2-prior-knowledge', 'http://127.0.0.1:' . port(8082) . '/status');
like(curl(@h2), qr/^\{"version"/m, 'HTTP/2');
like(curl('-H', $html, @h2), qr/<html/, 'the page over HTTP/2');
like(curl('-I', '-H', $html, @h2), qr!^HTTP/2 200.*^content-length: \d{4,}!ms, 'its head over HTTP/2');

my @lines = audit_lines($t, 'audit.log', 14);
is_deeply([ grep { !$_->{decision} } @lines ], [], 'a page that shows nothing leaves no line');

###############################################################################

# What is wrong with keys is seen at once.

$t->write_file('keys.json', '{"keys": [');
ok(poll { local $_ = seen(get('/status')); exists $_->{keys}[0]{failure} }, 'a file that can not be taken is told');
$seen = seen(get('/status'));
like($seen->{keys}[0]{failure}{error}, qr/keys\.json/, 'with what is wrong');
is($seen->{keys}[0]{workers_on_it}, 2, 'what was read before is in force');

$t->write_file('keys.json', keys_file(@keys, { key => 'key-more', client => 'more' }));
ok(poll { local $_ = seen(get('/status')); $_->{keys}[0]{keys} == 3 && $_->{keys}[0]{workers_on_it} == 2 }, 'so is what is in force');
is(seen(get('/status'))->{keys}[0]{failure}, undef, 'and that it was mended');

$t->reload();
ok(poll { local $_ = seen(get('/status')); $_->{workers} == 2 }, 'the workers after a reload');
is(sum(requests => @{seen(get('/status'))->{minutes}}), sum(requests => @minutes) + 5,
	'what was counted outlives a reload');

###############################################################################

sub auth {
	my ($name) = @_;
	return "Authorization: Bearer key-$name";
}

sub chat {
	my ($name) = @_;
	my $body = '{"model":"test-model","messages":[{"role":"user","content":"Hi"}]}';
	return http("POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\n" . auth($name)
		. "\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body");
}

sub seen {
	my ($answer) = @_;
	return content_json($answer);
}

sub sum {
	my ($member, @of) = @_;
	my $sum = 0;
	$sum += $_->{$member} for @of;
	return $sum;
}
