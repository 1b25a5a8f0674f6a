#!/usr/bin/perl

# tollgate_owned_objects: what clients keep at an engine (responses, chats, files, batches, conversations,
# streams) is reached by the client alone that made it, by path, query, header and body. To others it is as if
# it weren't there.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;
use Tollgate::Metered;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_v2/)->has_daemon('curl')->plan(225)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone           zone=tollgate:1m;
    tollgate_owned_objects  zone=objects:1m;

    tollgate_tier  plain  { }
    tollgate_tier  ids    { allow request_ids; }

    tollgate_limit some key=everybody requests=100000r/m;

    tollgate_default_tier  plain;
    tollgate_api_keys      keys.json;
    tollgate_audit_log     %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        ignore_invalid_headers  off;

        tollgate            on;
        # What no table has, and an engine may.
        tollgate_endpoints  +POST:/v1/*/cancel +DELETE:/v1/batches/* +POST:/v1/messages/batches +*:/v1/messages/batches/*;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /unbuffered/ {
            proxy_buffering  off;
            rewrite          ^/unbuffered(.*) $1 break;
            proxy_pass       http://127.0.0.1:8081;
        }

        location /gzip/ {
            proxy_set_header  X-Mock-Encoding auto;
            rewrite           ^/gzip(.*) $1 break;
            proxy_pass        http://127.0.0.1:8081;
        }

        location /replaced/ {
            proxy_pass  http://127.0.0.1:8081/;
        }

        location /redirected/ {
            rewrite  ^/redirected/own/.* /v1/models last;
            rewrite  ^/redirected/(.*)   /v1/$1 last;
        }

        location /guarded/ {
            error_page  404 = @engine;
            rewrite     ^/guarded(.*) $1 break;
            proxy_pass  http://127.0.0.1:8081;
        }

        location @engine {
            proxy_pass  http://127.0.0.1:8081;
        }

        location /anthropic/ {
            tollgate_engine  anthropic;
            rewrite          ^/anthropic(.*) $1 break;
            proxy_pass       http://127.0.0.1:8081;
        }

        location /vllm/ {
            tollgate_engine   vllm;
            proxy_set_header  X-Mock-Engine vllm;
            rewrite           ^/vllm(.*) $1 break;
            proxy_pass        http://127.0.0.1:8081;
        }

        location /llamacpp/ {
            tollgate_engine             llamacpp;
            tollgate_resumable_streams  on;
            proxy_set_header            X-Mock-Engine llamacpp;
            rewrite                     ^/llamacpp(.*) $1 break;
            proxy_pass                  http://127.0.0.1:8081;
        }

        location /opened/ {
            tollgate_endpoints  +*:/v1/*;
            rewrite             ^/opened(.*) $1 break;
            proxy_pass          http://127.0.0.1:8081;
        }

        location /anybody/ {
            tollgate_auth       none;
            tollgate_apply      some;
            tollgate_endpoints  +*:/v1/*;
            rewrite             ^/anybody(.*) $1 break;
            proxy_pass          http://127.0.0.1:8081;
        }

        location /dry/ {
            tollgate_dry_run  on;
            rewrite           ^/dry(.*) $1 break;
            proxy_pass        http://127.0.0.1:8081;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file(
	{ key => 'key-a', client => 'a' }, { key => 'key-a2', client => 'a' }, { key => 'key-b', client => 'b' },
	{ key => 'key-ids', client => 'b', tier => 'ids' }));
start_engine($t, 8081);
$t->run();

my %key = map { ($_ => "X-API-Key: key-$_") } qw/a a2 b/;
my ($r, $line, $id, $other);

###############################################################################

# Each kind: whoever made it reaches it, and nobody else, by whatever method.

my $input = made('/v1/files', 'some text', 'a');
for (
	['a response', '/v1/responses', { model => 'm', input => 'x' }, '/input_items', 1],
	['a chat', '/v1/chat/completions', { model => 'm', messages => [{ role => 'user', content => 'x' }], store => \1 }, '/messages', 1],
	['a file', '/v1/files', 'more text', '/content', 1],
	['a batch', '/v1/batches', { input_file_id => $input }, undef, 0],
	['a conversation', '/v1/conversations', {}, '/items', 1],
	['an Anthropic batch', '/v1/messages/batches', { requests => [] }, '/results', 1],
) {
	my ($name, $path, $body, $part, $removable) = @$_;
	my $id = made($path, $body, 'a');
	ok($id, "$name is made");
	for my $uri ("$path/$id", defined $part ? "$path/$id$part" : ()) {
		is(status(of('a', "GET $uri")), 200, "$name: GET $uri: its client");
		is(status(of('a2', "GET $uri")), 200, "$name: GET: another key of its client");
		is(status(of('b', "GET $uri")), 404, "$name: GET: another client");
	}
	is(status(of('b', "HEAD $path/$id")), 404, "$name: HEAD: another client");
	is(status(of('b', "DELETE $path/$id")), 404, "$name: DELETE: another client");
	is(status(of('b', "POST $path/$id/cancel", 'Content-Length: 0')), 404, "$name: cancel: another client");
	is(status(of('a', "POST $path/$id/cancel", 'Content-Length: 0')), 200, "$name: cancel: its client");
	# To another client it is not told from one that isn't there.
	my ($theirs, $nobodys) = map { of('b', "GET $path/$_") } $id, 'none';
	is(http_content($theirs), http_content($nobodys), "$name: one answer for both");
	next unless $removable;
	is(status(of('a', "DELETE $path/$id")), 200, "$name: DELETE: its client");
	($r, $line) = logged($t, 'a', "GET $path/$id");
	is("$line->{status} $line->{detail}", '404 unknown_object', "$name: and it is forgotten");
}

($r, $line) = logged($t, 'b', "GET /v1/files/$input");
is("$line->{decision} $line->{reason} $line->{detail}", 'deny object_not_found anothers_object', 'the log knows');
ok(!defined $line->{upstream}, 'and the engine does not');
is_deeply([ @{content_json($r)->{error}}{qw/type code/} ], ['invalid_request_error', 'not_found'], 'OpenAI');
$r = of('b', 'GET /anthropic/v1/files/none');
is(content_json($r)->{error}{type}, 'not_found_error', 'Anthropic');
is(status(ask(request("GET /v1/files/$input"))), 401, 'a stranger is not told');

# The files that a batch makes.

my $batch = made('/v1/batches', { input_file_id => $input }, 'a');
my ($output) = map { content_json($_)->{output_file_id} } of('a', "GET /opened/v1/batches/$batch");
ok($output, 'a batch has made a file');
is(status(of('a', "GET /v1/files/$output/content")), 200, 'which is its client\'s');
is(status(of('b', "GET /v1/files/$output/content")), 404, 'and nobody else\'s');

# Nothing lists what all clients keep, unless the operator says so.

for my $list ('/v1/files', '/v1/batches', '/v1/chat/completions') {
	($r, $line) = logged($t, 'a', "GET $list");
	is("$line->{status} $line->{detail}", '403 lists_objects', "a list: $list");
}
for my $list ('/v1/messages/batches', '/V1/Files/') {
	($r, $line) = logged($t, 'a', "GET $list");
	is("$line->{status} $line->{detail}", '403 unknown_endpoint openai', "a list that is in no table: $list");
}
is(status(of('a', 'GET /opened/v1/files')), 200, 'a list that was opened');
is(status(of('b', "GET /opened/v1/files/$input")), 404, 'what is opened is not everybody\'s');
is(status(of('a', "GET /opened/v1/files/$input")), 200, 'and still its client\'s');

# What the body names.

my $response = made('/v1/responses', { model => 'm', input => 'x' }, 'a');
my $conversation = made('/v1/conversations', {}, 'a');
my ($item) = map { $_->{id} } @{content_json(of('a', "GET /v1/responses/$response"))->{output}};
for (
	['/v1/responses', { previous_response_id => $response }],
	['/v1/responses', { previous_response_id => $response, stream => \1 }],
	['/v1/responses', { conversation => $conversation }],
	['/v1/responses', { conversation => { id => $conversation } }],
	['/v1/responses', { input => [{ role => 'user', content => [{ type => 'input_file', file_id => $input }] }] }],
	['/v1/responses', { input => [{ type => 'item_reference', id => $item }] }],
	['/v1/responses', { input => [{ type => 'image_generation_call', id => $item }] }],
	['/v1/responses', { input => [{ type => 'reasoning', id => $item, summary => [] }] }],
	['/v1/conversations', { items => [{ type => 'image_generation_call', id => $item }] }],
	['/v1/responses', { prompt => { id => 'p', variables => { input => { type => 'input_file', file_id => $input } } } }],
	['/v1/responses', { tools => [{ type => 'function', name => 'f', file_ids => [$input] }] }],
	['/v1/chat/completions', { messages => [{ role => 'user', content => [{ file => { file_id => $input } }] }] }],
	['/v1/messages', { max_tokens => 5, messages => [{ role => 'user', content =>
		[{ type => 'document', source => { type => 'file', file_id => $input } }] }] }],
	['/v1/batches', { input_file_id => $input }],
	["/unbuffered/v1/responses", { previous_response_id => $response }],
) {
	my ($path, $body) = @$_;
	my %body = (model => 'm', input => 'x', %$body);
	is(status(ask(post($path, \%body, $key{a}))), 200, "$path: names its own: " . json($body));
	($r, $line) = ask_for($t, $path, \%body, $key{b});
	is("$line->{status} " . ($line->{detail} // ''), '404 anothers_object', 'another one\'s');
}
# Whichever the engine reads.
my $own = made('/v1/responses', { model => 'm', input => 'x' }, 'b');
for my $members (
	qq{"previous_response_id":"$own","previous_response_id":"$response"},
	qq{"previous_response_id":"$response","previous_response_id":"$own"},
	qq{"previous_response_id":"$own","Previous_Response_ID":"$response"},
	qq{"previous_\\u0072esponse_id":"$response"},
) {
	is(status(ask(post('/v1/responses', qq({"model":"m","input":"x",$members}), $key{b}))), 404, $members);
}
is(status(ask(chunked('/v1/responses', { model => 'm', input => 'x' x 300_000,
	previous_response_id => $response }, 8192, $key{b}))), 404, 'in a long body, chunked');
is(status(ask(chunked('/v1/responses', { model => 'm', input => 'x' x 300_000,
	previous_response_id => $response }, 8192, $key{a}))), 200, 'in a long body, chunked: its own');
is(status(ask(post('/v1/batches', 'no JSON', $key{b}))), 400, 'what can not be read is refused');
for my $item (qq{"type":"item_reference","id":"$item","Type":"message"}, qq{"id":"$item","type":"message","type":"item_reference"}) {
	is(status(ask(post('/v1/responses', qq({"model":"m","input":[{$item}]}), $key{b}))), 404, $item);
}
# Whose message it is, doesn't matter where it is all there.
is(status(ask(post('/v1/responses', { model => 'm', input =>
	[{ type => 'message', id => $item, role => 'assistant', content => 'x' }] }, $key{b}))), 200, 'a whole message');
# What a video or a picture is made of.
for (
	['/opened/v1/videos', { prompt => 'x', input_reference => { file_id => $input } }],
	['/opened/v1/videos/edits', { prompt => 'x', video => { id => 'video_1' } }],
	['/opened/v1/images/edits', { prompt => 'x', images => [{ file_id => $input }] }],
) {
	my ($path, $body) = @$_;
	is(status(ask(post($path, $body, $key{b}))), 404, "$path: another one's");
}
my $form = post('/opened/v1/images/edits', '--x--', $key{b}) =~ s!application/json!multipart/form-data; boundary=x!r;
isnt(status(ask($form)), 400, 'a form');
for (['input_reference[file_id]', $input], ['images[0][file_id]', $input], ['video', 'video_1'], ['video[id]', 'video_1']) {
	my ($name, $object) = @$_;
	for my $path ('/opened/v1/images/edits', '/opened/v1/videos', '/opened/v1/videos/edits') {
		my $parts = "--x\r\nContent-Disposition: form-data; name=\"$name\"\r\n\r\n$object\r\n--x--\r\n";
		$form = post($path, $parts, $key{b}) =~ s!application/json!multipart/form-data; boundary=x!r;
		is(status(ask($form)), 404, "$path: another one's, in a form, by $name");
	}
}
for (['a', '-'], ['b', 'object_not_found']) {
	my ($who, $reason) = @$_;
	my $parts = "--x\r\nContent-Disposition: form-data; name=\"input_reference[file_id]\"\r\n\r\n$input\r\n--x--\r\n";
	$form = post('/opened/v1/videos', $parts, $key{$who}, "X-Request-ID: form-$who");
	ask($form =~ s!application/json!multipart/form-data; boundary=x!r);
	is((audited($t, "form-$who"))[0]{reason} // '-', $reason, "$who: a form that names the file of a");
}
is(status(ask(post('/opened/v1/images/edits', '--x', $key{b}) =~ s!application/json!multipart/form-data; boundary=x!r)),
	400, 'a form without an end');
is(status(ask(post('/opened/v1/images/edits', '--x', $key{b}))), 400, 'no form');
$r = h2($t, '/v1/responses', { model => 'm', input => 'x', previous_response_id => $response }, $key{b},
	'X-Request-ID: h2-b');
is((audited($t, 'h2-b'))[0]{reason}, 'object_not_found', 'HTTP/2');
is(status(h2($t, '/v1/responses', { model => 'm', input => 'x', previous_response_id => $response }, $key{a})),
	200, 'HTTP/2: its own');

# Wherever its id is seen.

for my $how (
	['streamed', sub { post('/v1/responses', { model => 'm', input => 'x', stream => \1 }, $key{a}, @_) }],
	['streamed in small pieces', sub { post('/v1/responses',
		{ model => 'm', input => 'x', stream => \1 }, $key{a}, 'X-Mock-Split: 3', @_) }],
	['unbuffered', sub { post('/unbuffered/v1/responses', { model => 'm', input => 'x' }, $key{a}, @_) }],
	['unbuffered, streamed', sub { post('/unbuffered/v1/responses',
		{ model => 'm', input => 'x', stream => \1 }, $key{a}, @_) }],
	['an engine that would compress', sub { post('/gzip/v1/responses',
		{ model => 'm', input => 'x' }, $key{a}, 'Accept-Encoding: gzip', @_) }],
	['cut', sub { post('/v1/responses',
		{ model => 'm', input => 'x', stream => \1 }, $key{a}, 'X-Mock-Cut-After: 1', @_) }],
	['to vLLM', sub { post('/vllm/v1/responses', { model => 'm', input => 'x' }, $key{a}, @_) }],
	['to vLLM, streamed', sub { post('/vllm/v1/responses',
		{ model => 'm', input => 'x', stream => \1 }, $key{a}, @_) }],
	['to vLLM, in the background', sub { post('/vllm/v1/responses',
		{ model => 'm', input => 'x', background => \1 }, $key{a}, @_) }],
) {
	my ($name, $request) = @$how;
	# What ends too early is no answer that ask() takes.
	my $answer = $name eq 'cut' ? http($request->('Connection: close')) : ask($request->());
	my ($id) = $answer =~ /"id":"(resp_[^"]+)"/;
	my $prefix = $name =~ /vLLM/ ? '/vllm' : '';
	ok($id, "$name: an id");
	# What was streamed, the mock keeps too.
	is(status(of('a', "GET $prefix/v1/responses/$id")), 200, "$name: its client");
	is(status(of('b', "GET $prefix/v1/responses/$id")), 404, "$name: another one");
}
# The client reads only the first event, and leaves.
my $connection = connection();
$connection->send(post('/v1/responses', { model => 'm', input => 'x', stream => \1 }, $key{a}, 'X-Mock-Hold: 1'));
my ($held) = ($connection->peek(sub { $_[0] =~ /"id":"resp_[^"]+"/ }) // '') =~ /"id":"(resp_[^"]+)"/;
is(status(of('a', "GET /v1/responses/$held")), 200, 'while it streams: its client');
is(status(of('b', "GET /v1/responses/$held")), 404, 'while it streams: another one');
$connection->close();
is(status(of('a', "GET /v1/responses/$held")), 200, 'after the client has left');

# What isn't kept is nobody's.
for (['/v1/responses', { input => 'x', store => \0 }], ['/v1/chat/completions', { messages => [{ role => 'user', content => 'x' }] }]) {
	my ($path, $body) = @$_;
	my $id = made($path, { model => 'm', %$body }, 'a');
	($r, $line) = logged($t, 'a', "GET $path/$id");
	is("$line->{status} $line->{detail}", '404 unknown_object', "not stored: $path");
}

# Nobody chooses the id of what he makes.
$id = new_id();
is(status(ask(post('/vllm/v1/responses', { model => 'm', input => 'x', request_id => $response, top_p => 1 },
	'X-API-Key: key-ids', "X-Request-ID: $id"))), 200, 'a chosen id: let in');
my $sent = engine_body(8081, $id) // '';
unlike($sent, qr/request_id/, 'but the engine does not see it');
like($sent, qr/top_p/, 'and all the rest');

###############################################################################

# Streams that go on without their client: the first one who names it has it.

my @stream = ('/llamacpp/v1/chat/completions', { model => 'm', messages => [{ role => 'user', content => 'x' }],
	stream => \1 });
is(status(ask(post(@stream, $key{a}, 'X-Conversation-Id: conv-1'))), 200, 'a stream with a name');
is(status(of('a', 'GET /llamacpp/v1/stream?conv_id=conv-1&from=0')), 200, 'is taken up by its client');
is(status(of('a', 'GET /llamacpp/v1/stream?conv%5Fid=conv%2D1')), 404, 'by an id that the mock does not read so');
for my $query ('conv_id=conv-1', 'conv_id=conv%2D1', 'conv_id=none', 'conv_id=none&conv_id=conv-1',
	'', 'from=0')
{
	($r, $line) = logged($t, 'b', "GET /llamacpp/v1/stream?$query");
	is("$line->{status} $line->{reason}", '404 object_not_found', "another one: $query");
}
is(status(of('b', 'DELETE /llamacpp/v1/stream?conv_id=conv-1')), 404, 'another one does not end it');
is(status(of('b', 'DELETE /llamacpp/v1/stream?conv_id=conv-2', 'Content-Type: application/x-www-form-urlencoded',
	'Content-Length: 14') . 'conv_id=conv-1'), 404, 'nor by a form');
for my $name ('conv-1', 'conv-1::model', 'conv 1', 'a/b') {
	is(status(ask(post(@stream, $key{b}, "X-Conversation-Id: $name"))), 404, "nor takes its name: $name");
}
is(status(ask(post(@stream, $key{b}, 'X-Conversation-Id: conv-2', 'x_conversation.id: conv-1'))), 404,
	'nor in another spelling');
is(status(ask(post(@stream, $key{b}, 'X-Conversation-Id: conv-2'))), 200, 'but has its own');
is(status(of('b', 'GET /llamacpp/v1/stream?conv_id=conv-2')), 200, 'which is there');
is(status(ask(post('/llamacpp/v1/streams/lookup', { conversation_ids => ['conv-2'] }, $key{b}))), 200, 'found');
is(status(ask(post('/llamacpp/v1/streams/lookup', { conversation_ids => ['conv-2', 'conv-1'] }, $key{b}))), 404,
	'and not with another one');
is(status(of('a', 'DELETE /llamacpp/v1/stream?conv_id=conv-1')), 204, 'its client ends it');
is(status(of('a', 'GET /llamacpp/slots')), 403, 'what is of no client is closed');

###############################################################################

# Nobody in particular has nothing.

is(status(ask(request("GET /anybody/v1/files/$input"))), 404, 'anonymous: by path');
is(status(ask(post('/anybody/v1/responses', { model => 'm', input => 'x', previous_response_id => $response }))),
	404, 'anonymous: by body');
is(status(ask(post('/anybody/v1/responses', { model => 'm', input => 'x' }))), 200, 'anonymous: nothing named');

# Where a request is led on.

is(status(of('a', "GET /redirected/files/$input")), 200, 'rewritten: its own');
is(status(of('b', "GET /redirected/files/$input")), 404, 'rewritten: another one\'s');
is(status(of('b', "GET /guarded/v1/files/$input")), 404, 'no error_page leads to it');
is(status(of('a', "GET /replaced/v1/files/$input")), 200, 'replaced: its own');
is(status(of('b', "GET /replaced/v1/files/$input")), 404, 'replaced: another one\'s');
($r, $line) = logged($t, 'b', "GET /dry/v1/files/$input");
is("$line->{status} $line->{reason}", '200 object_not_found', 'a dry run: let through, and reported');

# reload

reload_and_wait($t);
is(status(of('a', "GET /v1/files/$input")), 200, 'reload: its own');
is(status(of('b', "GET /v1/files/$input")), 404, 'reload: another one\'s');

###############################################################################

# The id of what this client makes.
sub made {
	my ($path, $body, $client) = @_;
	return (content_json(ask(post($path, $body, $key{$client}))) // {})->{id};
}

# What this client gets.
sub of {
	my ($client, $text, @lines) = @_;
	return ask(request($text, $key{$client}, @lines), head => scalar($text =~ /^HEAD/));
}

# The same, with its line of the audit log.
sub logged {
	my ($t, $client, $text, @lines) = @_;
	my $id = new_id();
	my $response = of($client, $text, "X-Request-ID: $id", @lines);
	my ($line) = audited($t, $id);
	return ($response, $line);
}

###############################################################################
