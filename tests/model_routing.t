#!/usr/bin/perl

# $tollgate_model: routing by the model that a request names is nginx's job, by map and proxy_pass.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine qw/needs_engine start_engine/;
use Tollgate::Metered;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy map rewrite http_v2/)->has_daemon('curl')->plan(38);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone   zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier   open { requests 100000r/h; }
    tollgate_limit  rare key=$tollgate_model requests=2r/h;

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    map $tollgate_model $backend {
        ~^large-     large;
        "Other One"  other;
        ""           nobody;
        default      127.0.0.1:8081;
    }

    upstream large {
        server 127.0.0.1:8084;
    }

    upstream other {
        server 127.0.0.1:8085;
    }

    upstream nobody {
        server 127.0.0.1:8086;
    }

    log_format  models  escape=json '$http_x_request_id "$tollgate_model"';

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        access_log  %%TESTDIR%%/models.log models;

        tollgate on;

        location / {
            add_header        X-Model $tollgate_model;
            proxy_set_header  X-Model $tollgate_model;
            proxy_pass        http://$backend;
        }

        location /spilled/ {
            client_body_buffer_size  1k;
            proxy_pass               http://$backend;
        }

        location /rare/ {
            tollgate_apply  rare;
            proxy_pass      http://127.0.0.1:8081/;
        }
    }

    server {
        listen  127.0.0.1:8084;
        return  200 LARGE;
    }

    server {
        listen  127.0.0.1:8085;
        return  200 OTHER;
    }

    server {
        listen  127.0.0.1:8086;
        return  200 NOBODY;
    }
}

EOC

$t->write_file('keys.json', keys_file({ key => 'key-open', client => 'acme', tier => 'open' }));
start_engine($t, 8081);
$t->run();

my $key = 'X-API-Key: key-open';
my $chat = '/v1/chat/completions';
my $messages = '"messages":[{"role":"user","content":"one two"}]';

###############################################################################

for (
	['small', '"model":"small"', 'engine'],
	['a pattern', '"model":"large-70b"', 'LARGE'],
	['a name', '"model":"Other One"', 'OTHER'],
	['escapes', '"mod\u0065l":"l\u0061rge-70b"', 'LARGE'],
	['none', '"x":1', 'NOBODY'],
	['null', '"model":null', 'NOBODY'],
	['empty', '"model":""', 'NOBODY'],
	['elsewhere', '"metadata":{"model":"large-70b"}', 'NOBODY'],
) {
	my ($name, $members, $expected) = @$_;
	is(served(ask(post($chat, "{$members,$messages}", $key))), $expected, "routed: $name");
}
my $late = '{"messages":[{"role":"user","content":"' . 'x' x 10000 . '"}],"model":"large-1"}';
is(served(ask(post("/spilled$chat", $late, $key))), 'LARGE', 'routed: a body in a file');
is(served(ask(chunked($chat, $late, 100, $key))), 'LARGE', 'routed: a body in chunks');
is(served(h2($t, $chat, $late, $key)), 'LARGE', 'routed: HTTP/2');
is(served(get('/v1/models', $key)), 'NOBODY', 'routed: no body');
is(served(ask(post('/v1/files', '{"model":"large-1"}', $key))), 'NOBODY',
	'routed: an endpoint that is not read');
is(status(ask(post($chat, '{"model":"large-1","model":"small"}', $key))), 400,
	'two models are none');

# names that break things

my $r = ask(post($chat, { model => 'large-a"b\\c', messages => [] }, $key));
is(header($r, 'X-Model'), 'large-a"b\\c', 'in a header');
for my $control ('\r\nX-Evil: 1', '\u0000', '\u007f', '\u0085') {
	$r = ask(post($chat, qq({"model":"large-$control",$messages}), $key));
	is(status($r), 400, "no control characters: $control");
	is(header($r, 'X-Evil'), undef, "no header: $control");
}

my $json = JSON::PP->new->utf8->allow_nonref;
for my $model ('quote " backslash \\ slash /', "mod\x{e8}le", "\x{6a21}\x{578b}",
	"\x{1f999}", "\x{2028}", '$tollgate_client', '${x}') {
	my $id = new_id();
	ask(post($chat, { model => $model, messages => [] }, $key, "X-Request-ID: $id"));
	my ($line) = audited($t, $id);
	my ($logged) = $t->read_file('models.log') =~ /^$id (.*)$/m;
	my $name = $model =~ s/([^ -~])/sprintf '\\x{%x}', ord $1/ger;
	is(eval { $json->decode($logged // '') }, $model, "logged: $name");
	is($line->{model}, $model, "audited: $name");
}

# a limit per model

my @rare = map { status(ask(post("/rare$chat", qq({"model":"$_",$messages}), $key))) }
	qw/a a a b/;
is("@rare", '200 200 429 200', 'the key of a limit');

###############################################################################

# Which server answered.
sub served {
	my ($response) = @_;
	my $content = http_content($response) // 'nothing';
	return $content =~ /"usage"/ ? 'engine' : $content;
}

###############################################################################
