#!/usr/bin/perl

# Parameters by which llama.cpp does what is for operators, at paths that are for clients: in a query, in any
# spelling and wherever it is put together, and in a form that is the body of a GET.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/json keys_file status/;
use Tollgate::Client;
use Tollgate::Echo;
use Tollgate::Metered;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_v2/)->has_daemon('curl')->plan(45)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_tier  plain     { }
    tollgate_tier  operator  { scopes models chat admin; }

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate         on;
        tollgate_engine  llamacpp;

        location / {
            proxy_pass  http://127.0.0.1:8081;
        }

        location /openai/ {
            tollgate_engine  openai;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /vllm/ {
            tollgate_engine  vllm;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /opened/ {
            tollgate_endpoints  +GET:/v1/models;
            proxy_pass          http://127.0.0.1:8081/;
        }

        location /dry/ {
            tollgate_dry_run  on;
            proxy_pass        http://127.0.0.1:8081/;
        }

        location = /variable {
            set         $asked $arg_q;
            proxy_pass  http://127.0.0.1:8081/v1/models?$asked;
        }

        # The operator's own.
        location = /own {
            proxy_pass  http://127.0.0.1:8081/v1/models?reload=1;
        }

        location = /rewritten {
            rewrite     ^ /v1/models?$arg_q? break;
            proxy_pass  http://127.0.0.1:8081;
        }

        location = /led {
            rewrite  ^ /v1/models?$arg_q? last;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file(map { { key => "key-$_", client => $_, tier => $_ } } qw/plain operator/));
start_echo($t, 8081);
$t->run();

# The outcome of a GET, and its response.
sub ask_models {
	my ($t, $uri, $key, @lines) = @_;
	return outcome_of($t, 'GET', $uri, '', "X-API-Key: key-$key", @lines);
}

sub outcome_of {
	my ($t, $method, $uri, $body, @lines) = @_;
	my $id = new_id();
	push @lines, 'Content-Length: ' . length $body if length $body;
	my $r = ask(request("$method $uri", @lines, "X-Request-ID: $id") . $body, head => $method eq 'HEAD');
	my ($line) = audited($t, $id);
	return (join(' ', status($r), $line->{detail} // ()), $r);
}

###############################################################################

# A query

my ($outcome, $r);
for my $query ('reload=1', 'reload', 'RELOAD=1', '%72eload=1', 'x=1&reload=', 'x;reload=1', 'limit=1&rel%6fad=0') {
	($outcome, $r) = ask_models($t, "/v1/models?$query", 'plain');
	is($outcome, '403 operators_parameter reload', "refused: $query");
}
for my $uri ('/models?reload=1', '/openai/v1/models?reload=1', '/v1/health?reload=1', '/openai/models?reload=1') {
	is((ask_models($t, $uri, 'plain'))[0], '403 operators_parameter reload', "refused: $uri");
}
is((outcome_of($t, 'HEAD', '/v1/models?reload=1', '', 'X-API-Key: key-plain'))[0], '403 operators_parameter reload', 'refused: HEAD');
unlike(http_content((ask_models($t, '/v1/models?reload=1', 'plain'))[1]), qr/reload/, 'the client is told no name');

is((ask_models($t, '/v1/models?reload=1', 'operator'))[0], 200, 'an operator may');
like(http_content((ask_models($t, '/v1/health?reload=1', 'operator'))[1]), qr!"/v1/health\?reload=1"!, 'and it is passed on');
is((ask_models($t, '/opened/v1/models?reload=1', 'plain'))[0], 200, 'so may all whom the path is opened to');
is((ask_models($t, '/own', 'plain'))[0], 200, "a query of the operator's own");
($outcome, $r) = ask_models($t, '/dry/v1/models?reload=1', 'plain');
like($r, qr!^HTTP/1.1 200!, 'dry run');
for my $query ('', '?', '?after=reload', '?reloads=1', '?x=autoload') {
	is((ask_models($t, "/v1/models$query", 'plain'))[0], 200, "let in: $query");
}
is((ask_models($t, '/vllm/v1/models?reload=1', 'plain'))[0], 200, 'another engine has no such parameter');

# A model is loaded by whoever asks for it.
my $chat = { model => 'm', messages => [{ role => 'user', content => 'autoload=1' }] };
for (['', 200], ['?x=1', 200], ['?autoload=1', 403], ['?a&%61utoload=true', 403]) {
	my ($query, $status) = @$_;
	my ($r, $line) = ask_for($t, "/v1/chat/completions$query", $chat, 'X-API-Key: key-plain');
	is(status($r), $status, "chat$query");
	is($line->{detail}, $status == 200 ? undef : 'operators_parameter autoload', "chat$query: the detail");
}

# However it is put together

for my $uri ('/variable', '/rewritten', '/led') {
	is((ask_models($t, "$uri?q=reload=1", 'plain'))[0], '403 operators_parameter reload', "refused: $uri");
	is((ask_models($t, "$uri?q=limit=1", 'plain'))[0], 200, "let in: $uri");
}

###############################################################################

# A form in a GET is parameters as well.

for my $kind ('application/x-www-form-urlencoded', 'Application/X-WWW-Form-URLencoded; charset=utf-8') {
	is((outcome_of($t, 'GET', '/v1/models', 'reload=1', 'X-API-Key: key-plain', "Content-Type: $kind"))[0],
		'403 operators_parameter application/x-www-form-urlencoded', "refused: a body of $kind");
}
is((outcome_of($t, 'GET', '/v1/models', 'reload=1', 'X-API-Key: key-plain', 'Content-Type: text/plain'))[0], 200, 'a body of another type');
is((outcome_of($t, 'GET', '/v1/models', 'reload=1', 'X-API-Key: key-operator',
	'Content-Type: application/x-www-form-urlencoded'))[0], 200,
	'an operator may');
# What is sent so by a POST is read as JSON.
($r) = ask_for($t, '/v1/chat/completions', $chat, 'X-API-Key: key-plain');
is(status($r), 200, 'chat');

like(curl('--http2-prior-knowledge', '-i', '-H', 'X-API-Key: key-plain',
	'http://127.0.0.1:' . port(8082) . '/v1/models?reload=1'), qr!^HTTP/2 403!, 'HTTP/2: refused');
like(curl('--http2-prior-knowledge', '-i', '-H', 'X-API-Key: key-plain',
	'http://127.0.0.1:' . port(8082) . '/v1/models?limit=1'), qr!^HTTP/2 200!, 'HTTP/2: let in');
