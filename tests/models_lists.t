#!/usr/bin/perl

# What engines tell of models: a client sees those that it may use, and nobody sees paths on the engine's disk.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header json keys_file status/;
use Tollgate::Client;
use Tollgate::Echo;
use Tollgate::Metered;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_v2 cache sub gzip/)->has_daemon('curl')->plan(149)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier  open    { concurrency 1; }
    tollgate_tier  llamas  { models llama*; concurrency 1; }

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    proxy_cache_path  %%TESTDIR%%/cache keys_zone=cache:1m;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate         on;
        tollgate_engine  vllm;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /unbuffered/ {
            proxy_buffering  off;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /cached/ {
            proxy_cache           cache;
            proxy_cache_valid     200 1h;
            proxy_cache_key       $uri;
            proxy_ignore_headers  Cache-Control Expires;
            add_header            X-Cache $upstream_cache_status;
            proxy_pass            http://127.0.0.1:8081/;
        }

        location /sub/ {
            sub_filter_types  application/json;
            sub_filter_once   off;
            sub_filter        llama alpaca;
            proxy_pass        http://127.0.0.1:8081/;
        }

        location /gzip/ {
            gzip             on;
            gzip_types       application/json;
            gzip_min_length  1;
            gzip_proxied     any;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /ollama/ {
            tollgate_engine  ollama;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /anthropic/ {
            tollgate_engine  anthropic;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /fixed/ {
            tollgate_model  llama;
            proxy_pass      http://127.0.0.1:8081/;
        }

        location /other/ {
            tollgate_model  qwen;
            proxy_pass      http://127.0.0.1:8081/;
        }

        location /alias/ {
            tollgate_model_alias  chat llama-3;
            tollgate_model_alias  small llama-3;
            tollgate_model_alias  other qwen;
            proxy_pass            http://127.0.0.1:8081/;
        }

        location /dry/ {
            tollgate_dry_run  on;
            proxy_pass        http://127.0.0.1:8081/;
        }

        location /led/ {
            error_page  403 404 = @list;
            return      404;
        }

        location @list {
            rewrite     ^ /v1/models break;
            proxy_pass  http://127.0.0.1:8081;
        }

        location /tried/ {
            try_files  /nothing /v1/models;
        }

        location /shown/ {
            try_files  /nothing /ollama/api/show;
        }

        location /named/ {
            try_files  "" @list;
        }

        location /said/ {
            set         $said /v1/models;
            proxy_pass  http://127.0.0.1:8081$said;
        }

        # What only began as a list.
        location /missing/ {
            error_page              404 = /other.json;
            proxy_intercept_errors  on;
            proxy_pass              http://127.0.0.1:8081/gone4/;
        }

        # A page of the operator's own.
        location = /file/v1/models {
            default_type  application/json;
            alias         %%TESTDIR%%/models.json;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file(
	{ key => 'key-free', client => 'free', tier => 'open' },
	{ key => 'key-llama', client => 'llama', tier => 'llamas' },
	{ key => 'key-none', client => 'none', tier => 'open', models => ['nothing'] },
));

my $list = json({ object => 'list', data => [map { { id => $_, object => 'model', root => "/models/$_" } }
	qw/llama-3 qwen llama-2/] });
my $tags = json({ models => [map { { name => $_, model => $_, details => { parent_model => '/root/x' } } }
	qw/llama3:latest qwen:7b/] });
my @json = ('Content-Type: application/json');
my $large = sub { json({ object => 'list', data => [{ id => 'llama-3', text => 'x' x $_[0] }, { id => 'qwen' }] }) };
my %pages = (
	'/v1/models' => { body => $list,
		lines => [@json, 'ETag: "1"', 'Last-Modified: Fri, 01 Jan 2021 00:00:00 GMT', 'Accept-Ranges: bytes'] },
	'/chunked/v1/models' => { body => $list, unknown_length => 1 },
	'/charset/v1/models' => { body => $list, lines => ['Content-Type: Application/JSON; charset=utf-8'] },
	'/api/tags' => { body => $tags },
	'/api/ps' => { body => $tags },
	'/api/show' => { body => json({ modelfile => "FROM /root/x\nPARAMETER y\n", details => {} }) },
	'/v1/models/llama-3' => { body => json({ id => 'llama-3', root => '/models/llama-3' }) },
	'/html/v1/models' => { body => '<b>qwen</b>', lines => ['Content-Type: text/html'] },
	'/lies/v1/models' => { body => '<b>qwen</b>' },
	'/empty/v1/models' => { body => '' },
	'/array/v1/models' => { body => '["qwen"]' },
	'/mark/v1/models' => { body => "\xef\xbb\xbf$list" },
	'/plain/v1/models' => { body => $list, lines => ['Content-Type: text/plain'] },
	'/vendor/v1/models' => { body => $list, lines => ['Content-Type: application/vnd.x+json'] },
	'/untyped/v1/models' => { body => $list, lines => ['X-Nothing: 1'] },
	'/twice/v1/models' => { body => '{"data":[{"id":"llama-3","root":"/m","root":"/m"}]}' },
	'/nan/v1/models' => { body => '{"data":[{"id":"llama-3","root":"/m","x":NaN}]}' },
	'/huge_number/v1/models' => { body => '{"data":[{"id":"llama-3","root":"/m","x":1e400}]}' },
	'/events/v1/models' => { body => "data: /m\n\n", lines => ['Content-Type: text/event-stream'] },
	'/gone4/v1/models' => { body => '{}', status => '404 Not Found' },
	'/other.json' => { body => '{"hello":1,"path":"/usr/x"}' },
	'/gone/v1/models' => { body => '{"error":"gone"}', status => '503 Gone' },
	'/moved/v1/models' => { body => '', status => '302 Found', lines => ['Location: /x'] },
	'/part/v1/models' => { body => $list, status => '206 Partial Content', lines => [@json, 'Content-Range: bytes 0-9/9'] },
	'/encoded/v1/models' => { body => $list, lines => [@json, 'Content-Encoding: gzip'] },
	'/large/v1/models' => { body => $large->(3_000_000) },
	'/huge/v1/models' => { body => $large->(4_300_000) },
	'/huge/chunked/v1/models' => { body => $large->(4_300_000), unknown_length => 1 },
	'/claude/v1/models' => { body => json({ data => [{ id => 'qwen' }, { id => 'llama' }], first_id => 'qwen',
		last_id => 'llama', has_more => JSON::PP::false }) },
);
start_echo($t, 8081, \%pages);
$t->write_file('models.json', $list);
$t->run();

# The ids in a list; how often its paths are in it.
sub ids {
	my ($r) = @_;
	my $content = content_json($r) // return status($r) . ' no JSON';
	return status($r) . ' ' . join(' ', map { $_->{id} // $_->{name} } @{$content->{data} // $content->{models} // []})
		. (http_content($r) =~ m!/(?:models|root)/! ? ' with paths' : '');
}

sub list {
	my ($who, $uri, @lines) = @_;
	return ask(request($uri, "X-API-Key: key-$who", @lines));
}

sub list_h2 {
	my ($who, $uri, @lines) = @_;
	return curl('--http2-prior-knowledge', '-i', '-H', "X-API-Key: key-$who", @lines,
		'http://127.0.0.1:' . port(8082) . $uri);
}

###############################################################################

# However it comes.

for my $uri (qw!/v1/models /unbuffered/v1/models /chunked/v1/models /unbuffered/chunked/v1/models /charset/v1/models
	/cached/v1/models /cached/v1/models /gzip/v1/models /V1/Models/ /file/v1/models!) {
	# No engine has that one; it answers with what it was asked.
	my $is_other = $uri =~ /V1/;
	my ($all, $some, $none) = $is_other ? ('200 ', '500 ', '500 ')
		: ('200 llama-3 qwen llama-2', '200 llama-3 llama-2', '200 ');
	is(ids(list('free', $uri)), $all, "$uri: all");
	is(ids(list('llama', $uri)), $some, "$uri: some");
	is(ids(list('none', $uri)), $none, "$uri: none");
	is(ids(list_h2('llama', $uri)), $some, "$uri: HTTP/2");
}
is(header(list('llama', '/cached/v1/models'), 'X-Cache'), 'HIT', 'from the cache');
is(ids(list('none', '/sub/v1/models')), '200 ', 'sub_filter, none');
like(http_content(list('llama', '/sub/v1/models')), qr/"id":"alpaca-3".*"root":"alpaca-3"/, 'sub_filter comes later');
my $zipped = list_h2('llama', '/gzip/v1/models', '--compressed', '-w', '%{size_download}');
like($zipped, qr/Content-Encoding: gzip/i, 'nginx compresses it');
is(ids(list('llama', '/fixed/v1/models')), '200 llama-3 qwen llama-2', 'all are one that is open');
is(ids(list('llama', '/other/v1/models')), '200 ', 'all are one that is not');
is(ids(list('llama', '/dry/v1/models')), '200 llama-3 qwen llama-2', 'a dry run hides none');
is(ids(list('llama', '/led/x')), '200 llama-3 llama-2', 'where a request was led');

is(ids(list('llama', '/alias/v1/models')), '200 chat small llama-2', 'by their aliases');
is(ids(list('free', '/alias/v1/models')), '200 chat small other llama-2', 'by their aliases, all');
unlike(list('free', '/alias/v1/models'), qr/llama-3|qwen/, 'and no other name');

# Led to a list, or away from one.

for my $uri (qw!/tried/x /named/x /said/x!) {
	is(ids(list('llama', $uri)), '200 llama-3 llama-2', "$uri: some");
	is(ids(list('free', $uri)), '200 llama-3 qwen llama-2', "$uri: all, without paths");
}
is(content_json(ask(post('/shown/x', '{"model":"llama"}', 'X-API-Key: key-free')))->{modelfile}, "PARAMETER y\n",
	'led to one of Ollama');
is(http_content(list($_, '/missing/v1/models')), '{"hello":1,"path":"/usr/x"}', "led away from a list, $_") for qw/free llama/;

# What is no proper JSON, or says that it is something else.

for my $uri (qw!/mark/v1/models /plain/v1/models /vendor/v1/models /untyped/v1/models!) {
	is(ids(list('free', $uri)), '200 llama-3 qwen llama-2', "$uri: all, without paths");
	is(ids(list('llama', $uri)), '200 llama-3 llama-2', "$uri: some");
}
for my $uri (qw!/twice/v1/models /nan/v1/models /huge_number/v1/models /encoded/v1/models /part/v1/models!) {
	is(status(list('free', $uri)), 500, "$uri: to nobody");
	is(http_content(list('free', "/dry$uri")), $pages{$uri}{body}, "$uri: as it is where nothing is refused");
}
like(http_content(list('free', '/events/v1/models')), qr/^data: /, 'events are no list');

# The header.

my $r = list('llama', '/v1/models');
is(header($r, 'Content-Length'), length http_content($r), 'the length is right');
is(join(' ', map { header($r, $_) // '-' } qw/ETag Last-Modified Accept-Ranges/), '- - -', 'nothing to know it by');
like(header($r, 'x-request-id'), qr/./, 'an id');
$r = ask(request('HEAD /v1/models', 'X-API-Key: key-llama'), head => 1);
is(status($r) . ' ' . (header($r, 'Content-Length') // '-') . (header($r, 'ETag') // '-'), '200 --', 'HEAD');
for my $line ('Range: bytes=0-9', "Range: bytes=0-9\r\nIf-Range: \"1\"", 'If-None-Match: "1"',
	'If-Modified-Since: Fri, 01 Jan 2021 00:00:00 GMT', 'If-Match: "2"') {
	for my $uri (qw!/v1/models /cached/v1/models!) {
		is(ids(list('llama', $uri, $line)), '200 llama-3 llama-2', "$uri, " . $line =~ s/\r\n/, /r);
	}
}
my $asked = content_json(list('free', '/asked/v1/models', 'Range: bytes=0-9', 'If-None-Match: "1"',
	'If-Range: "1"', 'Accept-Encoding: gzip'));
is(join(', ', grep { /^(?:range|if-|accept-enc)/i } @{$asked->{head}}), 'Accept-Encoding: identity',
	'what the engine is asked');

# Several on one connection, and the place of each is free when it is over.

my $connection = connection();
is(ids($connection->ask(request('/v1/models', 'X-API-Key: key-llama'))), '200 llama-3 llama-2', "request $_ of a connection")
	for 1 .. 3;
$connection->close();

###############################################################################

# Other pages.

is(ids(list('llama', '/ollama/api/tags')), '200 llama3:latest', 'Ollama');
is(ids(list('free', '/ollama/api/tags')), '200 llama3:latest qwen:7b', 'Ollama, all');
is(ids(list('llama', '/ollama/api/ps')), '200 llama3:latest', 'what runs');
is(content_json(ask(post('/ollama/api/show', '{"model":"llama"}', 'X-API-Key: key-llama')))->{modelfile}, "PARAMETER y\n",
	'one of Ollama');
is(content_json(list('llama', '/v1/models/llama-3'))->{root}, 'llama-3', 'one of OpenAI');
is(http_content(list('llama', '/anthropic/claude/v1/models')),
	'{"data":[{"id":"llama"}],"first_id":"llama","has_more":false,"last_id":"llama"}', 'Anthropic');
my ($of_vllm, $of_ollama) = (list('llama', '/v1/models/qwen'), list('llama', '/ollama/v1/models/qwen'));
is(status($of_vllm) . ' ' . http_content($of_vllm),
	'404 {"error":{"message":"The model `qwen` does not exist.","type":"NotFoundError","param":"model","code":404}}',
	'one that is not open');
is(status($of_ollama), 404, 'nor of Ollama');
isnt(http_content($of_vllm), http_content(list('llama', '/v1/models/nobody')), 'its name is in it');
is(http_content($of_vllm) =~ s/qwen/nobody/r, http_content(list('llama', '/v1/models/nobody')),
	'as one that there is not');

# What can't be read is not shown to who may not see all of it.

for my $uri (qw!/html/v1/models /lies/v1/models /empty/v1/models /array/v1/models /part/v1/models /encoded/v1/models!) {
	for my $prefix ('', '/unbuffered') {
		my $r = list('llama', "$prefix$uri");
		is(status($r) . ' ' . (content_json($r)->{error}{code} // ''), '500 internal_error', "$prefix$uri");
		unlike($r, qr/qwen/, "$prefix$uri: none of it");
	}
	like(list_h2('llama', $uri), qr/^HTTP\/2 500.*internal_error/s, "$uri, HTTP/2");
	is(http_content(list('free', $uri)), $pages{$uri}{body}, "$uri: as it is to others")
		unless $uri =~ /encoded|part/;
}
like($t->read_file('error.log'), qr/internal_error \(unreadable_list\)/, 'the error log says why');
is(status(list('llama', '/gone/v1/models')), 503, 'an error is passed on');
is(status(list('llama', '/moved/v1/models')), 302, 'and what leads elsewhere');

is(ids(list('llama', '/large/v1/models')), '200 llama-3', 'a large one');
is(ids(list('llama', '/unbuffered/large/v1/models')), '200 llama-3', 'a large one, unbuffered');
for my $uri (qw!/huge/v1/models /huge/chunked/v1/models /unbuffered/huge/v1/models!) {
	is(status(list('llama', $uri)), 500, "$uri: too large");
}

###############################################################################
