#!/usr/bin/perl

# tollgate_usage: a client sees its limits as they stand, what it used, and what it may; it costs nothing, and
# shows nobody else.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get header hs256 keys_file status /;
use Tollgate::Client;
use Tollgate::Engine;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $conf = <<'EOF_CONF';

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;

    # A token of "mock" costs 0.001.
    tollgate_price mock input=1000 output=1000;

    tollgate_tier free { requests 10r/d; }
    tollgate_tier pro {
        requests      100r/d;
        requests      5r/h burst=50;
        tokens        1000/d;
        output_tokens 500/d burst=600;
        concurrency   2;
        budget        1/month;
        budget        0.5/day;
        models        mock mock-*;
        scopes        completions models;
        model mock*   { tokens 200/d; budget 0.1/month; }
    }
    tollgate_tier metered { requests 60r/m; }
    tollgate_limit wrong key=$server_port auth_failures=2r/d;

    tollgate_default_tier free;
    tollgate_api_keys     keys.json;
    tollgate_audit_log    audit.log;

    server {
        listen       127.0.0.1:8080 reuseport;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate         on;
        tollgate_auth    api_key jwt;
        tollgate_jwt_key_file secret;
        proxy_buffering  off;
        tollgate_ratelimit_headers openai;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /usage {
            tollgate_usage;
        }

        location /anthropic/usage {
            tollgate_engine anthropic;
            tollgate_usage;
        }

        location /dry/usage {
            tollgate_dry_run on;
            tollgate_usage;
        }

        location /guarded/usage {
            tollgate_apply wrong;
            tollgate_usage;
        }

        location /allowed/usage {
            satisfy  any;
            allow    127.0.0.1;
            deny     all;
            tollgate_usage;
        }

        location /denied/usage {
            satisfy  any;
            deny     all;
            tollgate_usage;
        }

        location = /pid {
            tollgate off;
            return 200 $pid;
        }
    }
}

EOF_CONF

my $secret = 'a secret of thirty-two bytes, at least';
my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_v2/)->has_daemon('curl');
$t->plan(78)->write_file_expand('nginx.conf', $conf);
$t->write_file('secret', $secret);
my $long = 'l' x 256;
my $odd = qq{<b>"\x{202e}evil\x{5d0}};
$t->write_file('keys.json', keys_file(
	{ key => 'key-acme', id => 'k_acme', client => 'acme', tier => 'pro', tenant => 'north',
		models => ['mock'], scopes => ['completions', 'chat'], expires => '2199-01-02T03:04:05Z' },
	{ key => 'key-plain', id => 'k_plain', client => 'plain' },
	{ key => 'key-old', client => 'old', expires => '2020-01-01T00:00:00Z' },
	{ key => 'key-off', client => 'off', disabled => JSON::PP::true },
	{ key => 'key-long', client => $long, tenant => 't' x 256 },
	{ key => 'key-odd', client => $odd },
	{ key => 'key-fine', client => 'fine', tier => 'free' },
));
start_engine($t, 8081);
$t->run();

###############################################################################

# Before its first request: all is there, and nothing used.

my $fresh = usage('acme');
is($fresh->{client}, 'acme', 'its name');
is($fresh->{tier}, 'pro', 'its tier');
is($fresh->{tenant}, 'north', 'its tenant');
is($fresh->{requests} . $fresh->{refused} . $fresh->{input_tokens}, '000', 'no request yet');
ok(!exists $fresh->{last_seen}, 'it was not seen yet');
is($fresh->{in_flight}, 0, 'nothing is in flight');
is_deeply($fresh->{credential},
	{ auth => 'api_key', key_id => 'k_acme', expires => '2199-01-02T03:04:05.000Z' },
	'its credential, without the key');
is_deeply($fresh->{models}, { credential => ['mock'], tier => ['mock', 'mock-*'] },
	'the models that it may use');
is_deeply($fresh->{scopes}, ['completions'], 'what it may use');
is_deeply([ map { $_->{name} } @{$fresh->{limits}} ], [
	'requests 100r/d', 'requests 5r/h burst=50', 'tokens 1000/d', 'output_tokens 500/d burst=600',
	'budget 1/month', 'budget 0.5/day', 'concurrency 2', 'mock* tokens 200/d', 'mock* budget 0.1/month',
], 'all of its limits');
is_deeply(limit($fresh, 'requests 5r/h burst=50'), {
	name => 'requests 5r/h burst=50', dimension => 'requests', quota => 5, burst => 50,
	period => 'hour', used => 0, left => 50, used_ratio => 0, reset_seconds => 0,
}, 'a limit of which nothing is used');
is_deeply(limit($fresh, 'concurrency 2'), {
	name => 'concurrency 2', dimension => 'concurrency', quota => 2, used => 0, left => 2,
	used_ratio => 0,
}, 'requests at once');
is_deeply(limit($fresh, 'mock* budget 0.1/month'), {
	name => 'mock* budget 0.1/month', dimension => 'budget', model => 'mock*', quota => '0.1',
	period => 'month', used => '0', left => '0.1', used_ratio => 0, reset_seconds => 0,
}, 'the budget for some models');
is($fresh->{worst}, 0, 'it is near to none');
like($fresh->{now}, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'now');

###############################################################################

# Requests, and what is left of each limit then.

my $answer = complete(client => 'acme', input => 10, max => 50, tokens => 20);
is(status($answer), 200, 'a request');
my $used = usage('acme');
is($used->{requests}, 1, 'it is counted');
is($used->{input_tokens} . ' ' . $used->{output_tokens}, '10 20', 'and so are its tokens');
is($used->{cost}, '0.03', 'and what it cost');
like($used->{last_seen}, qr/^20\d\d-/, 'when it was seen');
is(figures($used, 'requests 100r/d'), '1 99 0.01', 'requests');
is(figures($used, 'requests 5r/h burst=50'), '1 49 0.02', 'requests with a burst');
is(figures($used, 'tokens 1000/d'), '30 970 0.03', 'tokens');
is(figures($used, 'output_tokens 500/d burst=600'), '20 580 0.0333', 'tokens of the output');
is(figures($used, 'budget 1/month'), '0.03 0.97 0.03', 'money of the month');
is(figures($used, 'budget 0.5/day'), '0.03 0.47 0.06', 'money of the day');
is(figures($used, 'mock* tokens 200/d'), '30 170 0.15', 'tokens of the model');
is(figures($used, 'mock* budget 0.1/month'), '0.03 0.07 0.3', 'money of the model');
is($used->{worst}, 0.3, 'the limit that it is nearest to');
is_deeply([ map { "$_->{period} $_->{cost}" } @{$used->{spend}} ], ['month 0.03', 'day 0.03'],
	'what was spent in running periods');
like($used->{spend}[0]{until}, qr/-01T00:00:00\.000Z$/, 'and until when they last');
my $reset = limit($used, 'requests 100r/d')->{reset_seconds};
ok($reset > 860 && $reset <= 864, "when a request is there again: in $reset s");

is(header($answer, 'x-ratelimit-remaining-requests'), 49, 'as the headers had it: requests');

my $looks = 0;
for (1 .. 20) { $looks++ if usage('acme')->{requests} == 1 }
is($looks, 20, 'to look costs nothing');
is(figures(usage('acme'), 'requests 100r/d'), '1 99 0.01', 'not even requests');

my ($held) = hold(client => 'acme', max => 10);
my $flying = usage('acme');
is($flying->{in_flight}, 1, 'a request in flight');
is(figures($flying, 'concurrency 2'), '1 1 0.5', 'and its place');
$held->close();
poll { usage('acme')->{in_flight} == 0 };
is(usage('acme')->{in_flight}, 0, 'it has left');
is(figures(usage('acme'), 'concurrency 2'), '0 2 0', 'and so is its place free');

# A limit that is spent, and one in debt.

is(status(get('/v1/models', auth('plain'))), 200, "request $_ of ten") for 1 .. 10;
is(status(get('/v1/models', auth('plain'))), 429, 'the eleventh one');
my $spent = usage('plain');
is($spent->{requests} . ' ' . $spent->{refused}, '11 1', 'who has spent it all may look');
is(figures($spent, 'requests 10r/d'), '10 0 1', 'nothing is left');
ok(!exists $spent->{models}, 'it may use all models');

###############################################################################

# A token says what its client may use of requests.

my $token = hs256($secret, { sub => 'jane', tier => 'metered', rate_limit => 5, exp => 7_000_000_000 });
is(status(get('/v1/models', "Authorization: Bearer $token")), 200, 'a request with a token');
my $jane = content_json(get('/usage', "Authorization: Bearer $token"));
is_deeply([ map { $_->{name} } @{$jane->{limits}} ], ['requests 5r/m'], 'its own rate');
is($jane->{credential}{auth} . ' ' . $jane->{credential}{expires}, 'jwt 2191-10-27T12:26:40.000Z',
	'until when the token is good');
is($jane->{limits}[0]{left}, 4, 'and what is left of that');

###############################################################################

# Who sees it.

is(status(get('/usage')), 401, 'nobody');
is(status(get('/usage', auth('none'))), 401, 'a wrong key');
is(status(get('/usage', auth('old'))), 401, 'an expired key');
is(status(get('/usage', auth('off'))), 401, 'a disabled key');
is(status(get('/dry/usage')), 401, 'nobody under a dry run');
is(status(get('/allowed/usage')), 403, '"satisfy any": an address is nobody');
is(status(get('/denied/usage', auth('fine'))), 200, '"satisfy any": a client');
like(get('/anthropic/usage'), qr/"type":"error","error":\{"type":"authentication_error"/,
	'refusals are in the dialect of the location');

is(status(get('/guarded/usage', auth('guess'))), 401, 'a guess') for 1 .. 2;
is(status(get('/guarded/usage', auth('fine'))), 429, 'too many guesses');

like(get('/usage', auth('acme')), qr/^Content-Type: application\/json\r$/m, 'its type');
is(header(get('/usage', auth('acme')), 'Cache-Control'), 'no-store', 'nobody keeps it');

my $url = 'http://127.0.0.1:' . port(8082) . '/usage';
my @h2 = (qw/--http2-prior-knowledge -H/, auth('acme'));
like(curl(@h2, $url), qr/^\{"client":"acme",/, 'HTTP/2');
like(curl('-I', @h2, $url), qr!^HTTP/2 200.*^content-length: [1-9]!ms, 'its head');

my $is = content_json(get('/usage', auth('long')));
is($is->{client} . ' ' . $is->{tenant}, $long . ' ' . 't' x 256, 'the longest names');
get('/v1/models', auth($_)) for qw/long odd/;
$is = content_json(get('/usage', auth('long')));
is($is->{requests} . $is->{tenant}, '1' . 't' x 256, 'kept as they are');
is(content_json(get('/usage', auth('odd')))->{client}, $odd, 'names with markup, quotes and right-to-left');

###############################################################################

reload_and_wait($t);
my $later = usage('acme');
is($later->{requests} . ' ' . $later->{since}, '2 ' . $fresh->{since}, 'counts outlive a reload');

for (
	[ '', 'where nothing is protected' ],
	[ 'tollgate on; tollgate_auth none; tollgate_apply each;', 'where nobody is asked who he is' ],
) {
	my ($says, $where) = @$_;
	my ($code, $output) = configtest($t, <<"EOC");
%%TEST_GLOBALS%%
events { }
http {
    tollgate_zone zone=tollgate:1m;
    tollgate_limit each key=\$remote_addr requests=1r/s;
    server { location / { $says tollgate_usage; } }
}
EOC
	like($output, qr/emerg.*tollgate_usage" tells clients of themselves/, $where);
}

###############################################################################

sub auth {
	my ($name) = @_;
	return "Authorization: Bearer key-$name";
}

sub usage {
	my ($name) = @_;
	return content_json(get('/usage', auth($name)));
}

sub limit {
	my ($usage, $name) = @_;
	my ($limit) = grep { $_->{name} eq $name } @{$usage->{limits}};
	return $limit;
}

sub figures {
	my ($usage, $name) = @_;
	my $limit = limit($usage, $name) // return "no $name";
	return "$limit->{used} $limit->{left} $limit->{used_ratio}";
}
