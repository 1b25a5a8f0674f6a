#!/usr/bin/perl

# tollgate_introspection_request: tokens that only their issuer can read are shown to it (RFC 7662). It
# is asked once for as long as its answer holds, by all who come meanwhile; and where it does not answer,
# nobody passes.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get header json keys_file status /;
use Tollgate::Client;
use Tollgate::Provider;

use Time::HiRes qw/sleep time/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http access proxy rewrite/)->has_daemon('openssl')
	->has_daemon('curl');

my $has_http2 = $t->has_module('http_v2') && `curl -V 2>/dev/null` =~ /\bHTTP2\b/;
my $listen_http2 = $t->has_version('1.25.1')
	? 'listen 127.0.0.1:8082; http2 on;' : 'listen 127.0.0.1:8082 http2;';

start_provider($t, 8090);
new_key($_) for qw/one other/;

my %acme = (active => JSON::PP::true(), sub => 'acme');
my $later = int(time()) + 3600;

# What the provider answers when it fails, and what is special in the location.
my %failures = (
	'error' => [{ status => 500, body => \%acme }],
	'unavailable' => [{ status => 503 }],
	'not-us' => [{ status => 401, body => '{"error":"invalid_client"}' }],
	'not-found' => [{ status => 404, body => \%acme }],
	'created' => [{ status => 201, body => \%acme }],
	'no-content' => [{ status => 204 }],
	'redirect' => [{ status => 302, body => \%acme, headers => ['Location: http://127.0.0.1/'] }],
	'closed' => [{ close => 1 }],
	'slow' => [{ delay => 3, body => \%acme }, 'proxy_read_timeout 300ms;'],
	'page' => [{ body => '<!DOCTYPE html><title>Sign in</title>', type => 'text/html' }],
	'empty' => [{ body => '' }],
	'list' => [{ body => [\%acme] }],
	'no-active' => [{ body => { sub => 'acme' } }],
	'active-text' => [{ body => { %acme, active => 'true' } }],
	'active-number' => [{ body => { %acme, active => 1 } }],
	'active-null' => [{ body => { %acme, active => undef } }],
	'active-twice' => [{ body => '{"active":false,"active":true,"sub":"acme"}' }],
	'not-json' => [{ body => '{"active":true,"sub":"acme"' }],
	'truncated' => [{ body => json(\%acme), cut => 1 }],
	'huge' => [{ body => json({ %acme, x => 'x' x (300 * 1024) }) }],
	'endless' => [{ body => ' ' x 65536, endless => 0.001 }],
	'drips' => [{ body => ' ', endless => 0.1 }],
);

my %special = (
	uncached => 'tollgate_introspection_cache 0;',
	briefly => 'tollgate_introspection_cache 2s;',
	claims => 'tollgate_jwt_claim client email; tollgate_jwt_claim tier ext.tier;'
		. ' tollgate_jwt_claim tenant tid;',
	issuer => 'tollgate_jwt_issuer https://login.example.com;',
	audience => 'tollgate_jwt_audience api.example.com;',
	keys => 'tollgate_auth api_key introspection; tollgate_api_keys keys.json;',
	tokens => 'tollgate_auth jwt; tollgate_jwt_key_file one.pub;',
	both => 'tollgate_auth jwt introspection; tollgate_jwt_key_file one.pub;',
	all => 'tollgate_auth api_key jwt introspection; tollgate_api_keys keys.json;'
		. ' tollgate_jwt_key_file one.pub;',
	any => 'satisfy any; deny all;',
	dry => 'tollgate_dry_run on;',
	counted => 'tollgate_apply failures;',
	passed => 'tollgate_pass_credentials on;',
);
my @places = (sort(keys %special), qw/plain odd exp crowd leaves http2/,
	map { "bad-$_" } sort keys %failures);
my $locations = join '', map {
	my ($name) = /^bad-(.*)/;
	my $own = $special{$_} // '';
	my $internal = $name ? $failures{$name}[1] // '' : '';
	"        location /$_/ {\n"
		. "            tollgate_introspection_request /_$_;\n"
		. "            $own\n"
		. "            proxy_pass http://127.0.0.1:8081/;\n"
		. "        }\n"
		. "        location = /_$_ { internal; $internal proxy_pass http://127.0.0.1:8090/$_; }\n"
} @places;

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone          zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier          free { }
    tollgate_tier          pro { }
    tollgate_limit         failures key=$http_x_failures auth_failures=2r/d;
    tollgate_default_tier  free;
    tollgate_audit_log     %%TESTDIR%%/audit.log;

    # Of each server its own location.
    tollgate_introspection_request /_own;

    add_header X-Reason    $tollgate_reason   always;
    add_header X-Decision  $tollgate_decision always;
    add_header X-Auth      $tollgate_auth     always;
    add_header X-Tenant    $tollgate_tenant   always;
    add_header X-Key-ID    $tollgate_key_id   always;

    server {
        listen       127.0.0.1:8080;
        %%LISTEN_HTTP2%%
        server_name  localhost;

        tollgate on;
        tollgate_auth introspection;
        tollgate_introspection_request /_plain;

%%LOCATIONS%%

        location = /ping {
            tollgate off;
            return 204;
        }

        location /secret/ {
            tollgate_introspection_request /_secret;
            proxy_pass http://127.0.0.1:8090/backend/;
        }

        location = /_secret {
            internal;
            proxy_set_header Host           login.example.com;
            proxy_set_header Authorization  "Basic Y2xpZW50OnNlY3JldA==";
            proxy_pass http://127.0.0.1:8090/secret;
        }

        # no provider at all

        location /text/ {
            tollgate_introspection_request /_text;
            proxy_pass http://127.0.0.1:8081/;
        }

        location = /_text {
            internal;
            return 200 '{"active":true,"sub":"text"}';
        }

        # a request for which nothing is asked

        location /switched-off/ {
            tollgate_auth jwt;
            tollgate_jwt_key_file one.pub;

            location /switched-off/here/ {
                tollgate_introspection_request off;
                proxy_pass http://127.0.0.1:8081/;
            }
        }
    }

    server {
        listen       127.0.0.1:8083;
        server_name  one;
        tollgate on;
        tollgate_auth introspection;

        location / {
            proxy_pass http://127.0.0.1:8081/;
        }

        location = /_own {
            internal;
            proxy_pass http://127.0.0.1:8090/own-one;
        }
    }

    server {
        listen       127.0.0.1:8083;
        server_name  two;
        tollgate on;
        tollgate_auth introspection;

        location / {
            proxy_pass http://127.0.0.1:8081/;
        }

        location = /_own {
            internal;
            proxy_pass http://127.0.0.1:8090/own-two;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 "$http_x_client_id,$http_x_client_tier,$http_authorization";
        }
    }
}

EOC

$conf =~ s/%%LISTEN_HTTP2%%/$has_http2 ? $listen_http2 : ''/e;
$conf =~ s/%%LOCATIONS%%/$locations/;
$t->plan(165 + 4 * keys %failures)->write_file_expand('nginx.conf', $conf);
$t->write_file('keys.json', keys_file(
	{ key => 'tg_key', client => 'keyed', tier => 'pro' },
	{ key => 'tg_old', client => 'late', tier => 'pro', expires => '2020-01-01T00:00:00Z' },
));
my %known = (
	good => \%acme,
	second => { %acme, sub => 'zoe' },
	timed => { %acme, exp => $later, iat => $later - 7200, nbf => $later - 7200 },
	ended => { %acme, exp => $later - 7200 },
	future => { %acme, exp => $later, nbf => $later - 60 },
	inactive => { active => JSON::PP::false() },
	'inactive-with-more' => { %acme, active => JSON::PP::false(), exp => $later },
	machine => { active => JSON::PP::true(), client_id => 'batch' },
	'sub-and-machine' => { %acme, client_id => 'batch' },
	nobody => { active => JSON::PP::true(), scope => 'read' },
	'odd-sub' => { %acme, sub => 17 },
	'line-break' => { %acme, sub => "acme\r\nX-Client-Tier: pro" },
	pro => { %acme, tier => 'pro' },
	'no-tier' => { %acme, tier => 'gold' },
	mail => { active => JSON::PP::true(), sub => 'x', email => 'a@example.com', tid => 'org-1',
		ext => { tier => 'pro' } },
	ours => { %acme, iss => 'https://login.example.com', aud => ['other', 'api.example.com'] },
	theirs => { %acme, iss => 'https://login.example.org', aud => 'other' },
);
answers($_, body => { active => JSON::PP::false() }, tokens => \%known) for @places, 'secret';
answers('backend', body => '{}');
$t->run();

###############################################################################

# active

my $r = bearer('/plain/', 'good');
is(status($r), 200, 'active: passes');
is(http_content($r), 'acme,free,', 'active: client and tier for the backend, and no token');
is(header($r, 'X-Auth'), 'introspection', 'active: $tollgate_auth');
is(header($r, 'X-Decision'), 'allow', 'active: $tollgate_decision');
is(header($r, 'X-Key-ID'), undef, 'active: no key');
my ($asked) = asked('plain');
is("$asked->{method} $asked->{uri}", 'POST /plain', 'active: how it is asked');
is($asked->{body}, 'token=good&token_type_hint=access_token', 'active: what it is asked');
is($asked->{headers}{'content-type'}, 'application/x-www-form-urlencoded', 'active: in which form');
is($asked->{headers}{'content-length'}, length $asked->{body}, 'active: of which length');
is(status(bearer('/plain/', 'good')), 200, 'active: again');
is(scalar(asked('plain')), 1, 'active: is asked once');
is(client('/plain/', 'second'), 'zoe', 'active: another token');
is(client('/plain/', 'timed'), 'acme', 'active: with times');
is(client('/text/', 'any'), 'text', 'active: by return');
is(client('/passed/', 'good'), 'acme', 'active: passed on');
is(http_content(bearer('/passed/', 'good')), 'acme,free,Bearer good', 'active: with the token');

# not active

$r = bearer('/plain/', 'inactive');
is(status($r) . ' ' . header($r, 'X-Reason'), '401 invalid_token', 'inactive');
like(header($r, 'WWW-Authenticate'), qr/error="invalid_token"/, 'inactive: the challenge');
is(header($r, 'X-Auth'), undef, 'inactive: nobody');
is(content_json($r)->{error}{code}, 'invalid_api_key', 'inactive: the form of the API');
my $count = asked('plain');
is(join(' ', map { status(bearer('/plain/', 'inactive')) } 1 .. 3), '401 401 401',
	'inactive: again');
is(asked('plain') - $count, 0, 'inactive: is remembered');
for my $token ('inactive-with-more', 'unknown', 'nobody', 'odd-sub', 'line-break') {
	$r = bearer('/plain/', $token);
	is(status($r) . ' ' . header($r, 'X-Reason'), '401 invalid_token', "refused: $token");
}
is(status(bearer('/plain/', $_)), 401, "refused: $_") for qw/ended future/;

# what isn't valid yet is known, and judged again when its time comes

my $begin = time() + 2;
answers('plain', body => { active => JSON::PP::false() },
	tokens => { %known, soon => { %acme, nbf => $begin } });
my $early = status(bearer('/plain/', 'soon'));
is(time() < $begin ? $early : 401, 401, 'not valid yet');
poll { time() > $begin };
is(status(bearer('/plain/', 'soon')), 200, 'valid as soon as its time has come');
is(scalar(grep { $_->{params}{token} eq 'soon' } asked('plain')), 1, 'valid: asked once');
answers('plain', body => { active => JSON::PP::false() }, tokens => \%known);

$count = asked('plain');
is(status(get('/plain/')), 401, 'no credential');
is(status(get('/plain/', 'Authorization: Bearer')), 401, 'an empty one');
is(status(get('/plain/', 'Authorization: Basic Z29vZDo=')), 401, 'another scheme');
is(status(get('/plain/', 'X-API-Key: good')), 401, 'in a header for keys');
is(status(get('/plain/?access_token=good')), 401, 'in the query');
is(asked('plain') - $count, 0, 'for which nobody is asked');
is(status(bearer('/plain/', 'x' x (16 * 1024 + 1))), 400, 'longer than a line may be');
is(status(bearer('/plain/', 'good')), 200, 'a good one all the same');

# who it is

is(client('/plain/', 'machine'), 'batch', 'client_id, where there is no sub');
is(client('/plain/', 'sub-and-machine'), 'acme', 'sub comes first');
is(http_content(bearer('/plain/', 'pro')), 'acme,pro,', 'tier');
$r = bearer('/plain/', 'no-tier');
is(status($r) . ' ' . header($r, 'X-Reason'), '403 tier_denied', 'a tier that is not declared');
$r = bearer('/claims/', 'mail');
is(http_content($r), 'a@example.com,pro,', 'other claims');
is(header($r, 'X-Tenant'), 'org-1', 'other claims: tenant');
is(status(bearer('/claims/', 'good')), 401, 'other claims: without them');
is(status(bearer('/claims/', 'machine')), 401, 'other claims: client_id is none of them');
is(client('/issuer/', 'ours'), 'acme', 'issuer');
is(status(bearer('/issuer/', 'theirs')), 401, 'issuer: another one');
is(status(bearer('/issuer/', 'good')), 401, 'issuer: none');
is(client('/audience/', 'ours'), 'acme', 'audience');
is(status(bearer('/audience/', 'theirs')), 401, 'audience: another one');
is(status(bearer('/audience/', 'good')), 401, 'audience: none');

# tokens that are no plain words: each arrives as it is, and adds nothing to the form

my @odd = ('a&token=good', 'a+b/c==', 'a%67ood', 'good ', 'a=b;c', 'a~b-c.d_e', "caf\xc3\xa9", 'a#b?c',
	'"quoted"', 'a,b', "\xff\xfe", 'a\\b');
my %odd = map { $odd[$_] => { %acme, sub => "odd-$_" } } 0 .. $#odd;
delete $odd{'good '};
answers('odd', body => { active => JSON::PP::false() }, tokens => { %odd, good => \%acme });
for my $number (0 .. $#odd) {
	my $token = $odd[$number];
	my $name = "odd: '" . $token =~ s/[^ -~]/?/gr . "'";
	if ($token eq 'good ') {
		is(client('/odd/', $token), 'acme', "$name, space at the end is no part of it");
		next;
	}
	my $client = client('/odd/', $token);
	# A server may refuse what no token can be. It must not ask for another one.
	if ($client eq '401') {
		is(scalar(grep { $_->{params}{token} eq $token } asked('odd')), 0, "$name, refused");
	} else {
		is($client, "odd-$number", $name);
	}
}
is(scalar(grep { join(' ', sort keys %{$_->{params}}) ne 'token token_type_hint' } asked('odd')), 0,
	'odd: nothing is added to the form');

# one directive for several servers, each of which has a location of its own by that name

for my $server (qw/one two/) {
	answers("own-$server", body => { active => JSON::PP::false() },
		tokens => { "of-$server" => { %acme, sub => $server } });
}
for my $server (qw/one two/) {
	for my $token (qw/one two/) {
		my $r = http(request('/', "Authorization: Bearer of-$token", 'Connection: close')
			=~ s/localhost/$server/r, PeerAddr => '127.0.0.1:' . port(8083));
		is(status($r), $server eq $token ? 200 : 401, "server $server: a token of $token");
	}
}

# nothing of the client, but the token

$r = http(request('POST /secret/path?query=x', 'Authorization: Bearer good', 'Connection: close',
	'Content-Type: text/plain', 'Content-Length: 4', 'Cookie: a=b', 'X-API-Key: good',
	'X-Custom: x', 'Accept-Encoding: gzip', 'User-Agent: x') . 'body');
is(status($r), 200, 'a POST passes');
($asked) = asked('secret');
is($asked->{headers}{authorization}, 'Basic Y2xpZW50OnNlY3JldA==', 'the secret of the configuration');
# ("Connection: close" is of nginx, where it speaks HTTP/1.0 itself: until 1.29.7.)
delete $asked->{headers}{connection};
is(join(' ', sort keys %{$asked->{headers}}),
	'accept authorization content-length content-type host', 'nothing else of the client');
is($asked->{headers}{'content-type'}, 'application/x-www-form-urlencoded', 'nor its type');
my ($backend) = asked_soon('backend', 1);
is("$backend->{method} $backend->{uri} $backend->{body}", 'POST /backend/path?query=x body',
	'the backend gets the request');
is($backend->{headers}{'x-client-id'}, 'acme', 'with an identity');
is($backend->{headers}{'content-type'}, 'text/plain', 'with its type');
is($backend->{headers}{authorization}, undef, 'without the token, and without the secret');

# how long an answer holds

is(join(' ', map { client('/uncached/', 'good') } 1 .. 3), 'acme acme acme', 'cache off');
is(scalar(asked('uncached')), 3, 'cache off: asked each time');
is(join(' ', map { client('/uncached/', 'inactive') } 1 .. 3), '401 401 401', 'cache off: inactive');
is(scalar(asked('uncached')), 6, 'cache off: inactive, asked each time');

my $sent = time();
is(client('/briefly/', 'good'), 'acme', 'cache of two seconds');
my $answered = time();
answers('briefly', body => { active => JSON::PP::false() });
# When the first one was refused, and when the last one was sent that passed: on a slow machine much may
# be between them.
my ($until, $passed) = (0, $sent);
poll {
	my $now = time();
	my $is_over = client('/briefly/', 'good') ne 'acme';
	($is_over ? $until : $passed) = $is_over ? time() : $now;
	$is_over;
};
# Time is told in whole seconds.
cmp_ok($until - $sent, '>=', 1, 'cache of two seconds: not shorter');
cmp_ok($passed - $answered, '<', 2 + 1, 'cache of two seconds: not longer');
is(scalar(asked('briefly')), 2, 'cache of two seconds: asked again then');
answers('briefly', body => \%acme);
ok((poll { client('/briefly/', 'good') eq 'acme' }), 'cache of two seconds: inactive, and active again');

# More seconds where the machine is slow.
my ($exp, $expiring, $asked_before, @clients);
for my $seconds (3, 10, 30) {
	($exp, $expiring) = (int(time()) + $seconds, "good-$seconds");
	answers('exp', body => { %acme, exp => $exp });
	$asked_before = asked('exp');
	@clients = map { client('/exp/', $expiring) } 1, 2;
	last if time() < $exp;
}
is($clients[0], 'acme', 'exp: before');
is($clients[1], 'acme', 'exp: remembered');
is(asked('exp') - $asked_before, 1, 'exp: asked once');
my $last;
poll {
	my $now = time();
	$r = bearer('/exp/', $expiring);
	$last = $now if status($r) == 200;
	status($r) != 200;
};
cmp_ok(time(), '>=', $exp, 'exp: refused when it is over');
like(header($r, 'X-Reason'), qr/^(expired_credential|invalid_token)$/, 'exp: why');
cmp_ok($last // 0, '<', $exp + 1, 'exp: and not later');

# others who decide before

$r = bearer('/keys/', 'tg_key');
is(http_content($r), 'keyed,pro,', 'API key: passes');
is(header($r, 'X-Auth'), 'api_key', 'API key: as such');
$r = bearer('/keys/', 'tg_old');
is(status($r) . ' ' . header($r, 'X-Reason'), '401 expired_credential', 'API key: expired');
$r = get('/keys/', 'X-API-Key: good');
is(status($r) . ' ' . header($r, 'X-Reason'), '401 invalid_credential', 'API key: wrong, in its header');
is(scalar(asked('keys')), 0, 'API key: nobody is asked');
is(client('/keys/', 'good'), 'acme', 'API key: none, but a token');
is(status(bearer('/keys/', 'unknown')), 401, 'API key: none, and no token');
is(scalar(asked('keys')), 2, 'API key: for which it is asked');
is(status(get('/keys/', 'X-API-Key: tg_key', 'Authorization: Bearer good')), 400,
	'API key: and a token');

my $signed = token('one', { sub => 'signed' });
my $forged = token('other', { sub => 'signed' });
for my $place (qw/tokens both all/) {
	$r = bearer("/$place/", $signed);
	is(http_content($r), 'signed,free,', "$place: a JWT");
	is(header($r, 'X-Auth'), 'jwt', "$place: a JWT, as such");
	is(status(bearer("/$place/", $forged)), 401, "$place: a forged JWT");
	is(scalar(asked($place)), 0, "$place: nobody is asked");
	is(client("/$place/", 'good'), 'acme', "$place: another token");
	is(scalar(asked($place)), 1, "$place: for which it is asked");
}
is(client('/all/', 'tg_key'), 'keyed', 'all: an API key');
answers('plain', body => { active => JSON::PP::false() }, tokens => { $signed => { %acme,
	sub => 'shown' } });
is(client('/plain/', $signed), 'shown', 'a JWT, where there are no keys for it');
is(client('/switched-off/here/', $signed), 'signed', 'off: a JWT');
is(status(bearer('/switched-off/here/', 'good')), 401, 'off: another token');

# several at once

answers('crowd', hold => 1);
my @crowd = map { asking('/crowd/', 'good') } 1 .. 20;
my $other = asking('/crowd/', 'second');
is(scalar(asked_soon('crowd', 2)), 2, 'crowd: two tokens, two questions');
ping();
is(scalar(grep { $_->has_answer() } @crowd, $other), 0, 'crowd: all wait');
answers('crowd', body => { active => JSON::PP::false() }, tokens => \%known);
is(join(' ', map { http_content($_->answer()) } @crowd), join(' ', ('acme,free,') x 20),
	'crowd: all pass');
is(http_content($other->answer()), 'zoe,free,', 'crowd: the other one as himself');
is(scalar(asked('crowd')), 2, 'crowd: no further question');

answers('leaves', hold => 1);
my $leaves = asking('/leaves/', 'good');
asked_soon('leaves', 1);
my $stays = asking('/leaves/', 'good');
ping();
$leaves->close();
ping();
answers('leaves', body => \%acme);
is(status($stays->answer()), 200, 'leaves: who stays is served');
is(client('/leaves/', 'good'), 'acme', 'leaves: and who comes later');
is(scalar(asked('leaves')), 1, 'leaves: by the question that was asked first');

answers('leaves', hold => 1);
$leaves = asking('/leaves/', 'second');
asked_soon('leaves', 2);
$leaves->close();
ping();
answers('leaves', body => \%acme, tokens => \%known);
is(client('/leaves/', 'second'), 'zoe', 'leaves: whose answer nobody waited for');
is(scalar(asked('leaves')), 2, 'leaves: is remembered');

SKIP: {
	skip 'no HTTP/2', 2 unless $has_http2;
	my $url = 'http://127.0.0.1:' . port(8082) . '/http2/';
	my @options = qw/--http2-prior-knowledge -i/;
	like(curl(@options, '-H', 'Authorization: Bearer good', '-d', 'body', $url),
		qr/^HTTP\/2 200 .*acme,free,$/s, 'HTTP/2: active');
	like(curl(@options, '-H', 'Authorization: Bearer unknown', $url), qr/^HTTP\/2 401 /,
		'HTTP/2: inactive');
}

# satisfy, dry_run, auth_failures

is(client('/any/', 'good'), 'acme', 'satisfy any: active');
is(status(bearer('/any/', 'inactive')), 401, 'satisfy any: inactive');
is(client('/dry/', 'good'), 'acme', 'dry_run: active');
$r = bearer('/dry/', 'inactive');
is(status($r) . ' ' . header($r, 'X-Decision'), '200 deny', 'dry_run: inactive');
is(http_content($r), ',,', 'dry_run: as nobody');

answers('counted', status => 500);
my $counted = sub { status(get('/counted/', "Authorization: Bearer $_[0]", 'X-Failures: a')) };
is(join(' ', map { $counted->("none-$_") } 1 .. 4), '503 503 503 503',
	'auth_failures: failures of the provider');
answers('counted', body => { active => JSON::PP::false() }, tokens => \%known);
is(join(' ', map { $counted->('good') } 1 .. 4), '200 200 200 200',
	'auth_failures: are none of the client');
is(join(' ', map { $counted->('inactive') } 1 .. 3), '401 401 429',
	'auth_failures: inactive ones are, also those that are remembered');
is(status(get('/counted/', 'Authorization: Bearer good', 'X-Failures: b')), 200,
	'auth_failures: for that key');

# A question counts as a failure until it is answered.
my $before = () = asked('counted');
my $open = sub {
	my ($token, $key) = @_;
	my $connection = connection();
	$connection->send(request('/counted/', "Authorization: Bearer $token", "X-Failures: $key"));
	return $connection;
};
answers('counted', hold => 1);
my @open = map { $open->("guess-$_", 'c') } 1 .. 30;
my $is_refused = sub { scalar grep { $_->has_answer() } @open };
poll { $is_refused->() == 28 };
is($is_refused->(), 28, 'open questions: no more than failures are left');
asked_soon('counted', $before + 2);
is(scalar(() = asked('counted')), $before + 2, 'open questions: the others are not asked');
answers('counted', body => { active => JSON::PP::false() });
my %statuses;
$statuses{status($_->answer())}++ for @open;
is_deeply(\%statuses, { 401 => 2, 429 => 28 }, 'open questions: answered');
is(status($open->('guess', 'c')->answer()), 429, 'open questions: wrong ones stay counted');

answers('counted', hold => 1);
@open = map { $open->("new-$_", 'd') } 1 .. 2;
asked_soon('counted', $before + 4);
is(status($open->('new-3', 'd')->answer()), 429, 'open questions: a good one has to wait as well');
answers('counted', body => { active => JSON::PP::true(), sub => 'acme' });
is(join(' ', map { status($_->answer()) } @open), '200 200', 'open questions: good ones');
is(join(' ', map { status($open->("newer-$_", 'd')->answer()) } 1 .. 4), '200 200 200 200',
	'open questions: are given back');

# Whoever has left: an answer is an answer.
my $count_of = sub { scalar(() = asked('counted')) };
for ([good => 'e', '200 200 200'], [bad => 'f', '429 429 429']) {
	my ($kind, $key, $then) = @$_;
	$before = $count_of->();
	answers('counted', hold => 1);
	@open = map { $open->("$kind-left-$_", $key) } 1 .. 2;
	asked_soon('counted', $before + 2);
	$_->close() for @open;
	ping();
	is(status($open->("$kind-left-3", $key)->answer()), 429, "open questions, left, $kind: counted");
	answers('counted', body => { active => JSON::PP::true(), sub => 'acme' },
		tokens => { map { ("bad-left-$_" => { active => JSON::PP::false() }) } 1 .. 2 });
	my $next = sub { status($open->($_[0], $key)->answer()) };
	# The answers come when they come: where they are bad, nobody can tell by this limit.
	poll { $next->("$kind-left-4") == 200 } if $kind eq 'good';
	poll { status($open->('bad-left-1', 'g')->answer()) == 401 } if $kind eq 'bad';
	is(join(' ', map { $next->("$kind-then-$_") } 1 .. 3), $then, "open questions, left, $kind: then");
}
is($count_of->(), $before + 2, 'open questions, left, bad: each was asked once');

###############################################################################

# the provider fails: nobody passes, and nothing of it is remembered

for my $name (sort keys %failures) {
	my $place = "bad-$name";
	answers($place, %{$failures{$name}[0]});
	my $r = bearer("/$place/", 'good');
	is(status($r) . ' ' . header($r, 'X-Reason'), '503 introspection_unavailable', "$name: refused");
	is(header($r, 'WWW-Authenticate'), undef, "$name: without a challenge");
	answers($place, body => \%acme);
	is(client("/$place/", 'good'), 'acme', "$name: the next answer counts");
	answers($place, %{$failures{$name}[0]});
	is(client("/$place/", 'good'), 'acme', "$name: and is remembered");
}

###############################################################################

# logs

my @lines = audit_lines($t, 'audit.log', 1);
my ($line) = grep { $_->{path} eq '/plain/' } @lines;
is($line->{auth} . ' ' . $line->{client}, 'introspection acme', 'the audit log: an active one');
($line) = grep { $_->{path} eq '/bad-error/' } @lines;
is("$line->{decision} $line->{status} $line->{reason}", 'deny 503 introspection_unavailable',
	'the audit log: a failure');
is(scalar(grep { $_->{path} =~ /^\/_/ } @lines), 0, 'the audit log: no line for the provider');

my $token = 'a-secret-of-somebody';
answers('plain', body => '<html>', tokens => { "$token-good" => \%acme,
	"$token-bad" => { active => JSON::PP::false() } });
is(join(' ', map { status(bearer('/plain/', "$token-$_")) } qw/good bad failure/), '200 401 503',
	'tokens to look for');
$t->stop();
is(scalar(grep { /\Q$token\E|\Q$signed\E/ } split /\n/, $t->read_file($_)), 0, "no token in $_")
	for qw/audit.log access.log/;
# nginx itself writes all headers at level debug.
is(scalar(grep { /\Q$token\E|\Q$signed\E/ } grep { !/\[debug\]/ } split /\n/,
	$t->read_file('error.log')), 0, 'no token in error.log');

###############################################################################

sub bearer {
	my ($uri, $token) = @_;
	return get($uri, "Authorization: Bearer $token");
}

# The client that the backend sees, or the status.
sub client {
	my ($uri, $token) = @_;
	my $r = bearer($uri, $token);
	return status($r) // 'none' unless (status($r) // 0) == 200;
	return http_content($r) =~ s/,.*//sr;
}

# A request that is going to wait: its connection.
sub asking {
	my ($uri, $token) = @_;
	my $connection = connection();
	$connection->send(request($uri, "Authorization: Bearer $token"));
	return $connection;
}

###############################################################################
