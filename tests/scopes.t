#!/usr/bin/perl

# What a credential is for: scopes of tiers, keys and tokens. All of them that say something must allow it, and
# "admin" is what the operator says.

use warnings;
use strict;

use MIME::Base64 qw//;
use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header hs256 keys_file status/;
use Tollgate::Client;
use Tollgate::Conf;
use Tollgate::Metered;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(72)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;

    tollgate_tier  free    { }
    tollgate_tier  chat    { scopes chat models; }
    tollgate_tier  staff   { scopes chat models admin; }
    tollgate_tier  counts  { scopes audio chat; tokens 1m/h; }
    tollgate_limit each    key=$remote_addr requests=10000r/s;

    tollgate_default_tier  free;
    tollgate_api_keys      keys.json;
    tollgate_jwt_key_file  secret;
    tollgate_audit_log     %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate         on;
        tollgate_auth    api_key jwt;
        tollgate_engine  vllm;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /named/ {
            tollgate_jwt_claim  scopes scope;
            proxy_pass          http://127.0.0.1:8081/;
        }

        location /opened/ {
            tollgate_endpoints  +GET:/metrics:models +GET:/version +POST:/v1/audio/* -GET:/load
                                +GET:/server_info:admin;
            proxy_pass          http://127.0.0.1:8081/;
        }

        location /anybody/ {
            tollgate_auth   none;
            tollgate_apply  each;
            proxy_pass      http://127.0.0.1:8081/;
        }

        location /dry/ {
            tollgate_dry_run  on;
            proxy_pass        http://127.0.0.1:8081/;
        }

        location /page/ {
            error_page  403 = @page;
            proxy_pass  http://127.0.0.1:8081/;
        }

        location @page {
            proxy_pass http://127.0.0.1:8081;
        }

        location /broken/ {
            error_page  502 /50x.html;
            proxy_pass  http://127.0.0.1:8089/;
        }

        location = /50x.html {
            root %%TESTDIR%%;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            add_header  X-Saw "$request_method $request_uri";
            return      200 "{}";
        }
    }
}

EOC

my $secret = 's' x 32;
$t->write_file('secret', $secret);
chmod 0640, $t->testdir() . '/secret';
$t->write_file('50x.html', 'the operator is sorry');
my $keys = sub {
	keys_file(map { my ($key, $tier, @scopes) = @$_;
		{ key => $key, client => "client-$key", $tier ? (tier => $tier) : (), @scopes ? (scopes => \@scopes) : () } }
		['plain'], ['only-chat', undef, 'chat'], ['only-admin', undef, 'admin'], ['wide', 'chat', 'chat', 'audio'],
		['in-chat', 'chat'], ['climbs', 'chat', 'admin'], ['staff', 'staff'], ['held', 'staff', 'chat'],
		['counted', 'counts'], @_);
};
$t->write_file('keys.json', $keys->());
$t->run();

my $now = time;

sub token {
	my (%claims) = @_;
	return 'Authorization: Bearer ' . hs256($secret, { sub => 'acme', exp => $now + 600, %claims });
}

# Method, path and credential of a request; the answer.
sub asked {
	my ($request, $credential) = @_;
	my $body = $request =~ /^POST/ ? '{"model":"m","input":"x","messages":[]}' : '';
	return ask(request($request, $credential, 'Content-Length: ' . length $body) . $body);
}

my ($chat, $embed, $models) = ('POST /v1/chat/completions', 'POST /v1/embeddings', 'GET /v1/models');
my ($metrics, $next) = ('GET /metrics', 'GET /what/comes/next');

# The claim of a token, for the name of a test.
sub payload {
	my ($payload) = $_[0] =~ /\.(.*)\./;
	return MIME::Base64::decode_base64url($payload) =~ s/"exp":\d+,?//r;
}

for (
	# A key, and what it gets.
	['X-API-Key: plain', 200, 200, 200, 403, 403],
	['X-API-Key: only-chat', 200, 403, 403, 403, 403],
	['X-API-Key: only-admin', 403, 403, 403, 200, 200],
	['X-API-Key: in-chat', 200, 403, 200, 403, 403],
	['X-API-Key: wide', 200, 403, 403, 403, 403],
	['X-API-Key: climbs', 403, 403, 403, 403, 403],
	['X-API-Key: staff', 200, 403, 200, 200, 200],
	['X-API-Key: held', 200, 403, 403, 403, 403],
	# A token, whose claim gives nothing that the tier hasn't.
	[token(), 200, 200, 200, 403, 403],
	[token(scope => 'chat'), 200, 403, 403, 403, 403],
	[token(scope => ['chat', 'models']), 200, 403, 200, 403, 403],
	[token(scope => 'openid chat profile'), 200, 403, 403, 403, 403],
	[token(scp => 'embeddings'), 403, 200, 403, 403, 403],
	[token(scp => ['embeddings'], scope => 'chat'), 200, 403, 403, 403, 403],
	[token(scope => 'openid profile'), 200, 200, 200, 403, 403],
	[token(scope => ''), 403, 403, 403, 403, 403],
	[token(scope => []), 403, 403, 403, 403, 403],
	[token(scope => 'chat admin'), 200, 403, 403, 403, 403],
	[token(scope => 'chat admin', tier => 'chat'), 200, 403, 403, 403, 403],
	[token(scope => 'embeddings', tier => 'chat'), 403, 403, 403, 403, 403],
	[token(scope => 'chat admin', tier => 'staff'), 200, 403, 403, 200, 200],
	[token(scope => 'chat', tier => 'staff'), 200, 403, 403, 403, 403],
	[token(tier => 'staff'), 200, 403, 200, 200, 200],
) {
	my ($credential, @expected) = @$_;
	my @got = map { status(asked($_, $credential)) } $chat, $embed, $models, $metrics, $next;
	is_deeply(\@got, \@expected, ($credential =~ /^X-/ ? $credential : "token " . payload($credential))
		. ': chat, embeddings, models, metrics, what comes next');
}

# A claim that the configuration names is one about this API.
is(status(asked('GET /named/v1/models', token(scope => 'openid profile'))), 403, 'named claim: none of ours');
is(status(asked('GET /named/v1/models', token(scope => 'openid models'))), 200, 'named claim: one of ours');
is(status(asked('GET /named/v1/models', token(scp => 'chat'))), 403, 'named claim: no other one is read');
is(status(asked('GET /named/v1/models', token())), 403, 'named claim: not there');

# What the client and the log are told.
my $r = asked($embed, token(scope => 'chat'));
is(header($r, 'WWW-Authenticate'), 'Bearer realm="tollgate", error="insufficient_scope", scope="embeddings"',
	'a token is told what it lacks');
is(content_json($r)->{error}{code}, 'access_denied', 'the answer');
is(header(asked($embed, 'X-API-Key: only-chat'), 'WWW-Authenticate'), undef, 'a key is not');
is(header(asked($metrics, token()), 'WWW-Authenticate'), undef, 'nor is a token of what is for operators');
is(content_json(asked('POST /v1/messages', 'X-API-Key: only-admin'))->{error}{type}, 'permission_error',
	"the answer in the dialect of what was asked for");

for (
	[$embed, 'only-chat', 'scope_denied missing_scope embeddings'],
	[$metrics, 'plain', 'endpoint_denied operators_endpoint'],
	['POST /abort_requests', 'plain', 'endpoint_denied others_requests'],
	[$next, 'plain', 'endpoint_denied unknown_endpoint vllm'],
	['OPTIONS /v1/models', 'plain', 'endpoint_denied unknown_endpoint vllm'],
	['POST /v1/audio/transcriptions', 'counted', 'endpoint_denied not_counted vllm'],
	['GET /opened/load', 'staff', 'endpoint_denied closed_endpoint'],
	['GET /opened/server_info', 'plain', 'scope_denied missing_scope admin'],
) {
	my ($request, $key, $expected) = @$_;
	my $id = new_id();
	$r = ask(request($request, "X-API-Key: $key", "X-Request-ID: $id", 'Content-Length: 0'));
	my ($line) = audited($t, $id);
	is(status($r) . " $line->{reason} $line->{detail}", "403 $expected", "$request with $key: the log");
}

# What is opened, and for which scope.
for (
	['GET /opened/metrics', 'plain', 200],
	['GET /opened/metrics', 'only-chat', 403],
	['GET /opened/metrics', 'only-admin', 403],
	['GET /opened/version', 'only-chat', 200],
	['POST /opened/v1/audio/transcriptions', 'counted', 200],
	['POST /opened/v1/audio/transcriptions', 'only-chat', 403],
	['POST /opened/v1/audio/translations', 'plain', 200],
	['GET /opened/load', 'only-admin', 403],
	['GET /opened/server_info', 'only-admin', 200],
	['GET /opened/tokenizer_info', 'only-admin', 200],
	['GET /opened/tokenizer_info', 'plain', 403],
	['HEAD /opened/metrics', 'plain', 200],
) {
	my ($request, $key, $expected) = @$_;
	$r = ask(request($request, "X-API-Key: $key", 'Content-Length: 0'), head => scalar($request =~ /^HEAD/));
	is(status($r), $expected, "opened: $request with $key");
}

# Nobody authenticates: the same table.
is(status(get('/anybody/v1/models')), 200, 'anybody: for clients');
is(status(get('/anybody/metrics')), 403, 'anybody: for operators');
is(status(get('/anybody/next')), 403, 'anybody: unknown');

# A dry run reports it; an error_page leads nobody to it.
is(status(asked('GET /dry/metrics', 'X-API-Key: plain')), 200, 'a dry run lets it in');
$r = asked('GET /page/metrics', 'X-API-Key: plain');
is(status($r) . ' ' . (header($r, 'X-Saw') // 'not seen'), '403 not seen', 'an error_page leads to the same refusal');
is(status(asked('GET /page/v1/models', 'X-API-Key: plain')), 200, 'and nothing else is refused there');
like(asked('GET /broken/v1/models', 'X-API-Key: plain'), qr/^HTTP\S+ 502 .*the operator is sorry/s,
	"a page of the operator's is no endpoint");
is(status(asked('GET /50x.html', 'X-API-Key: plain')), 403, 'but for those who ask for it');

###############################################################################

# The configuration, and changes of the file.

my %own = (http => "tollgate_zone zone=t:1m;\ntollgate_tier free { }",
	location => "tollgate on;\ntollgate_api_keys conf.json;");
$t->write_file('conf.json', keys_file({ key => 'key', client => 'acme', tier => 'free', scopes => ['chat'] }));
check_refused($t, $_) for (
	['a scope that is none', ['"tollgate_tier x"', 'unknown scope "chats"', 'chat, completions'],
		%own, http => "$own{http}\ntollgate_tier x { scopes chats; } # !"],
	['scopes twice', ['"scopes" directive is duplicate'],
		%own, http => "$own{http}\ntollgate_tier x { scopes chat; scopes audio; } # !"],
	['scopes of a model', ['"scopes" belongs to the tier'],
		%own, http => "$own{http}\ntollgate_tier x { model m* { scopes chat; } } # !"],
	['no scopes', ['invalid number of arguments in "scopes"'],
		%own, http => "$own{http}\ntollgate_tier x { scopes; } # !"],
	['an opening for no scope', ['"+GET:/x:chats"', 'tollgate_endpoints', 'one of the scopes'],
		%own, location => "$own{location}\ntollgate_endpoints +GET:/x:chats; # !"],
	['a scope of what is closed', ['"-GET:/x:chat"', 'closed to all scopes'],
		%own, location => "$own{location}\ntollgate_endpoints -GET:/x:chat; # !"],
);
check_accepted($t, ['all scopes', %own, http => "$own{http}\ntollgate_tier x { scopes chat completions
	embeddings responses audio images rerank tokenize models files batches admin; }"]);

$t->write_file('keys.json', $keys->(['slip', undef, 'chat', 'chats'], ['new', undef, 'models']));
ok(poll { status(get('/v1/models', 'X-API-Key: new')) == 200 }, 'a changed file is in force');
is(status(get('/v1/models', 'X-API-Key: slip')), 401, 'a key with an unknown scope is refused');
is(status(get('/v1/models', 'X-API-Key: plain')), 200, 'and no other key');
like($t->read_file('error.log'), qr/field "scopes" has an element \[1\] that is no scope: use some of chat,/,
	'the error log says why');
