#!/usr/bin/perl

# Guards look through what requests say: what they find is counted, masked, replaced or refused. All else in the body
# stays as it was.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine qw/needs_engine start_engine/;
use Tollgate::Metered;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_v2/)->has_daemon('curl');

$t->write_file('terms.txt', "# ours\n  blue harvest\nGrünwald  \n");

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;

    tollgate_guard block {
        input  pattern "(?i)project\s+falcon" name=codename block;
        input  list terms.txt name=terms block;
        input  secrets block;
    }

    tollgate_guard mask {
        input  pii email card mask;
        input  pattern "falcon" name=bird mask;
    }

    tollgate_guard log {
        input  pii email log;
        input  pattern "falcon" name=bird log;
    }

    tollgate_guard user {
        input  pattern "falcon" name=bird block;
        roles  user;
    }

    tollgate_guard tool {
        input  pattern "falcon" name=bird block;
        roles  tool;
    }

    tollgate_tier  open { }
    tollgate_tier  watched { guards user; }

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate         on;
        tollgate_engine  vllm;

        client_max_body_size     20m;
        tollgate_max_body        20m;
        client_body_buffer_size  20m;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /block/ {
            tollgate_guards  block;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /mask/ {
            tollgate_guards  mask;
            proxy_pass       http://127.0.0.1:8081/;

            location /mask/off/ {
                tollgate_guards  off;
                proxy_pass       http://127.0.0.1:8081/;
            }

            location /mask/block/ {
                tollgate_guards  mask block;
                proxy_pass       http://127.0.0.1:8081/;
            }

            location /mask/spilled/ {
                client_body_buffer_size  1k;
                proxy_pass               http://127.0.0.1:8081/;
            }

            location /mask/unbuffered/ {
                client_body_buffer_size  1k;
                proxy_request_buffering  off;
                proxy_http_version       1.1;
                proxy_pass               http://127.0.0.1:8081/;
            }

            location /mask/set/ {
                set         $length $content_length;
                proxy_pass  http://127.0.0.1:8081/;
            }

            location /mask/dry/ {
                tollgate_dry_run  on;
                proxy_pass        http://127.0.0.1:8081/;
            }
        }

        location /log/ {
            tollgate_guards  log;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /user/ {
            tollgate_guards  user;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /tool/ {
            tollgate_guards  tool;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /dry/ {
            tollgate_guards   block;
            tollgate_dry_run  on;
            proxy_pass        http://127.0.0.1:8081/;
        }

        location /fallback/ {
            tollgate_guards  mask;
            error_page       502 = @fallback;
            proxy_pass       http://127.0.0.1:8083;
        }

        location @fallback {
            tollgate_guards  mask;
            rewrite          ^/fallback(.*) $1 break;
            proxy_pass       http://127.0.0.1:8081;
        }

        location /fallback-block/ {
            tollgate_guards  mask;
            error_page       502 = @block;
            proxy_pass       http://127.0.0.1:8083;
        }

        location @block {
            tollgate_guards  block;
            rewrite          ^/fallback-block(.*) $1 break;
            proxy_pass       http://127.0.0.1:8081;
        }

        location /fallback-open/ {
            tollgate_guards  mask;
            error_page       502 = @open;
            proxy_pass       http://127.0.0.1:8083;
        }

        location @open {
            tollgate    off;
            rewrite     ^/fallback-open(.*) $1 break;
            proxy_pass  http://127.0.0.1:8081;
        }

        location /page/ {
            tollgate_guards  block;
            error_page       403 /page.html;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location = /page.html {
            tollgate  off;
        }

        location /anthropic/ {
            tollgate_engine  anthropic;
            tollgate_guards  block;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /ollama/ {
            tollgate_engine  ollama;
            tollgate_guards  block;
            proxy_pass       http://127.0.0.1:8081/;
        }
    }
}

EOF

$t->write_file('keys.json', keys_file(
	{ key => 'key-a', client => 'alice', tier => 'open' },
	{ key => 'key-w', client => 'walter', tier => 'watched' },
));
$t->write_file('page.html', 'a page');
start_engine($t, 8081);
$t->run()->plan(97);

my $chat = '/v1/chat/completions';

###############################################################################

# what is blocked

my ($r, $line) = ask_for($t, "/block$chat", said('about Project   FALCON'), 'X-API-Key: key-a');
is(status($r), 403, 'blocked');
my $error = JSON::PP->new->decode(http_content($r))->{error};
is("$error->{type} $error->{code} $error->{param}", 'invalid_request_error content_policy messages[1]',
	'the answer names the message');
unlike(http_content($r), qr/falcon|codename/i, 'and not what was found');
is("$line->{decision} $line->{reason} $line->{detail}", 'deny content_policy guard_blocked pattern.codename',
	'the log names the rule');
is_deeply($line->{guard}, { 'pattern.codename' => 1 }, 'and how often it fitted');
is($line->{guard_action}, 'block', 'and what it was for');
unlike($t->read_file('audit.log'), qr/FALCON/, 'and nothing of the text');

for (['list.terms', 'the Blue   Harvest is in'], ['list.terms', "in GR\x{c3}\x{9c}NWALD, maybe"],
	['secrets.tollgate_key', 'my key is tg_q7ZrX0vLmN2bT9cYhW4kE8sJ6uA1dRf3gPi5oQxCzVw'])
{
	my ($rule, $text) = @$_;
	($r, $line) = ask_for($t, "/block$chat", said($text), 'X-API-Key: key-a');
	is(status($r) . " $line->{detail}", "403 guard_blocked $rule", "blocked: $rule");
}
for my $text ('project eagle', 'blueharvests', 'a project, and a falcon', 'tg_short', 'harvest the blue') {
	($r) = ask_for($t, "/block$chat", said($text), 'X-API-Key: key-a');
	is(status($r), 200, "let in: $text");
}

# the dialects

($r) = ask_for($t, '/anthropic/v1/messages', { model => 'm', max_tokens => 5,
	messages => [{ role => 'user', content => [{ type => 'text', text => 'project falcon' }] }] }, 'X-API-Key: key-a');
is(status($r) . ' ' . JSON::PP->new->decode(http_content($r))->{error}{type}, '403 permission_error', 'anthropic');
like(http_content($r), qr/messages\[0\]/, 'anthropic, the message is named');
($r) = ask_for($t, '/ollama/api/chat', { model => 'm', messages => [{ role => 'user', content => 'project falcon' }] },
	'X-API-Key: key-a');
is(status($r), 403, 'ollama');
like(JSON::PP->new->decode(http_content($r))->{error}, qr/messages\[0\]/, 'ollama, the message is named');

# where it may stand

my $user = sub { { role => 'user', content => $_[0] } };
for (
	['a part', $chat, { messages => [$user->([{ type => 'text', text => 'project falcon' }])] }, 'messages[0]'],
	['parts, put together', $chat, { messages => [$user->([map { { type => 'text', text => $_ } } 'proj', 'ect fal', 'con'])] },
		'messages[0]'],
	['parts, put together by lines', $chat,
		{ messages => [$user->([map { { type => 'text', text => $_ } } 'project', 'falcon'])] }, 'messages[0]'],
	['the system prompt', $chat, { messages => [{ role => 'system', content => 'project falcon' }, $user->('x')] }, 'messages[0]'],
	['what a tool returned', $chat, { messages => [$user->('x'), { role => 'tool', tool_call_id => 'c', content => 'project falcon' }] },
		'messages[1]'],
	['a tool', $chat, { messages => [$user->('x')], tools => [{ type => 'function',
		function => { name => 'f', description => 'project falcon' } }] }, 'tools[0]'],
	['the name of a parameter', $chat, { messages => [$user->('x')], tools => [{ type => 'function',
		function => { name => 'f', parameters => { properties => { 'project falcon' => {} } } } }] }, 'tools[0]'],
	['an unknown member', $chat, { messages => [$user->('x')], new_thing => { a => ['project falcon'] } }, 'body'],
	['a prompt', '/v1/completions', { prompt => 'project falcon' }, 'prompt'],
	['one of several', '/v1/completions', { prompt => ['x', 'project falcon'] }, 'prompt[1]'],
	['an input', '/v1/responses', { input => 'project falcon' }, 'input'],
	['instructions', '/v1/responses', { input => 'x', instructions => 'project falcon' }, 'instructions'],
	['an embedding', '/v1/embeddings', { input => ['project falcon'] }, 'input[0]'],
)
{
	my ($name, $uri, $body, $param) = @$_;
	($r, $line) = ask_for($t, "/block$uri", { model => 'm', %$body }, 'X-API-Key: key-a');
	is(status($r) . ' ' . ($line->{detail} // '') . ' ' . (JSON::PP->new->decode(http_content($r))->{error}{param} // ''),
		"403 guard_blocked pattern.codename $param", "blocked in $name");
}
for (
	['the model', { model => 'project falcon', messages => [$user->('x')] }],
	['the user', { model => 'm', user => 'project falcon', messages => [$user->('x')] }],
	['different messages', { model => 'm', messages => [$user->('project'), $user->('falcon')] }],
)
{
	my ($name, $body) = @$_;
	($r, $line) = ask_for($t, "/block$chat", $body, 'X-API-Key: key-a');
	is(status($r), 200, "let in: $name");
}
my $escaped = '{"model":"m","messages":[{"role":"user","content":"pr\u006fject\u0020falcon"}]}';
is(status((ask_for($t, "/block$chat", $escaped, 'X-API-Key: key-a'))[0]), 403, 'blocked, written with escapes');

# what nobody can look into

for (['/v1/completions', { prompt => [1, 2] }, 'prompt'], ['/v1/embeddings', { input => [[1], [2]] }, 'input']) {
	my ($uri, $body, $member) = @$_;
	($r, $line) = ask_for($t, "/block$uri", { model => 'm', %$body }, 'X-API-Key: key-a');
	is(status($r) . " $line->{reason} " . ($line->{detail} // ''), "403 content_policy unseen_content $member",
		"ids of tokens: $member");
	($r, $line) = ask_for($t, "/log$uri", { model => 'm', %$body }, 'X-API-Key: key-a');
	isnt($line->{reason} // '', 'content_policy', "ids of tokens, where nothing is done: $member");
}

###############################################################################

# what is masked

my $body = '{"model":"m", "messages" :[ {"role":"user","content":"Write to jane.doe@example.com, please, \u00e4\ud83d\ude00 now"}]}';
my $masked = $body =~ s/jane.doe\@example.com/[EMAIL]/r;
is(got("/mask$chat", $body), $masked, 'masked, and all else as it was');
is(got("/mask$chat", $body =~ s/jane/j\\u0061ne/r), $masked, 'masked, where it is written with escapes');
is(got("/mask/off$chat", $body), $body, 'off');
is(got("/log$chat", $body), $body, 'counted only');
is(got("/mask/dry$chat", $body), $body, 'dry run: nothing is changed');
($r, $line) = ask_for($t, "/mask$chat", $body, 'X-API-Key: key-a');
is_deeply([$line->{decision}, $line->{guard}, $line->{guard_action}], ['allow', { 'pii.email' => 1 }, 'mask'], 'masked: the log');
($r, $line) = ask_for($t, "/log$chat", $body, 'X-API-Key: key-a');
is_deeply([$line->{decision}, $line->{guard}, $line->{guard_action}], ['allow', { 'pii.email' => 1 }, 'log'], 'counted: the log');
($r, $line) = ask_for($t, "/log$chat", said('nothing to see'), 'X-API-Key: key-a');
ok(!exists $line->{guard} && !exists $line->{guard_action}, 'nothing found: the log');
is(got("/mask$chat", json(said('a falcon, b falcon'))), json(said('a [BIRD], b [BIRD]')), 'a pattern, twice');
my $split = '{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"to jane.doe@ex"},{"type":"text","text":"ample.com now"}]}]}';
is(got("/mask$chat", $split), $split =~ s/jane.doe\@ex/[EMAIL]/r =~ s/ample.com//r, 'masked, over the parts of a message');
like(got("/mask$chat", '{"model":"m","stream":true,' . substr($body, 13)),
	qr/\[EMAIL\].*"stream_options"|"stream_options".*\[EMAIL\]/s, 'masked in a stream, which is asked for its usage');
for (
	['a number in arguments', $chat, '{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":'
		. '{"name":"f","arguments":"{\\"n\\": 4111111111111111, \\"to\\":\\"Hi\\\\njane.doe@example.com\\"}"}}]}',
		'{\\"n\\": \\"[CARD]\\", \\"to\\":\\"Hi\\\\n[EMAIL]\\"}'],
	['a number in an input', '/v1/messages', '{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":'
		. '{"n": 4111111111111111, "to":"jane.doe@example.com"}}]}', '{"n": "[CARD]", "to":"[EMAIL]"}'],
)
{
	my ($name, $uri, $message, $arguments) = @$_;
	my $sent = qq({"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"},$message]});
	my $expected = $sent =~ s/4111111111111111/$uri eq $chat ? '\\"[CARD]\\"' : '"[CARD]"'/er =~ s/jane.doe\@example.com/[EMAIL]/r;
	is(got("/mask$uri", $sent), $expected, "masked, $name");
	like($expected, qr/\Q$arguments\E/, "masked, $name: it stays JSON");
	my $other = $sent =~ s/1111111111111/1111111111112/r =~ s/\@/ at /r;
	is(got("/mask$uri", $other), $other, "nothing to mask, $name");
}
my $h2 = new_id();
h2($t, "/mask$chat", $body, 'X-API-Key: key-a', "X-Request-ID: $h2");
is(engine_body(8081, $h2), $masked, 'HTTP/2');
for my $place (qw!/mask /mask/spilled /mask/unbuffered!) {
	my $large = '{"model":"m","messages":[{"role":"user","content":"' . 'word ' x 60_000 . ' jane.doe@example.com"}]}';
	is(got("$place$chat", $large), $large =~ s/jane.doe\@example.com/[EMAIL]/r, "large, $place");
}
my $id = new_id();
ask(chunked("/mask/spilled$chat", $body, 7, 'X-API-Key: key-a', "X-Request-ID: $id"));
is(engine_body(8081, $id), $masked, 'chunks');
($r, $line) = ask_for($t, "/mask/set$chat", $body, 'X-API-Key: key-a');
is(status($r) . ' ' . ($line->{detail} // ''), '500 length_in_set', 'a length that nginx keeps');
is(got("/mask/set$chat", json(said('x'))), json(said('x')), 'a length that nginx keeps, and nothing to mask');

# A long one is looked at in turns, and a client may leave meanwhile.

my $long = '{"model":"m","messages":[{"role":"user","content":"' . 'word ' x 1_600_000 . ' jane.doe@example.com"}]}';
is(got("/mask$chat", $long), $long =~ s/jane.doe\@example.com/[EMAIL]/r, '8 MB');
my $connection = connection();
$connection->send(post("/mask$chat", $long, 'X-API-Key: key-a', 'X-Request-ID: gone'));
$connection->close();
is(got("/mask$chat", $body), $masked, 'somebody left, and others go on');

# two guards

($r, $line) = ask_for($t, "/mask/block$chat", said('project falcon of jane.doe@example.com'), 'X-API-Key: key-a');
is(status($r) . " $line->{detail} $line->{guard_action}", '403 guard_blocked pattern.codename block', 'the stricter one wins');
is_deeply($line->{guard}, { 'pattern.codename' => 1, 'pattern.bird' => 1, 'pii.email' => 1 }, 'all is counted');
is(got("/mask/block$chat", $body), $masked, 'nothing for the stricter one');

###############################################################################

# whose texts

my %of = map { ($_ => { model => 'm', messages => [$user->('x'), { role => $_, content => 'falcon' }] }) }
	qw/user tool assistant system developer/;
for (['/user', 'user', 403], ['/user', 'tool', 200], ['/user', 'assistant', 200], ['/user', 'system', 200],
	['/tool', 'tool', 403], ['/tool', 'user', 200], ['/tool', 'developer', 200])
{
	my ($place, $role, $expected) = @$_;
	is(status((ask_for($t, "$place$chat", $of{$role}, 'X-API-Key: key-a'))[0]), $expected, "roles: $role, $place");
}
for my $odd ('{"role":"user","role":"assistant","content":"falcon"}', '{"content":"falcon"}', '{"role":"wizard","content":"falcon"}',
	'{"role":"assistant","role":"user","content":"falcon"}')
{
	is(status((ask_for($t, "/user$chat", qq({"model":"m","messages":[$odd]}), 'X-API-Key: key-a'))[0]), 403, "roles: $odd");
}
is(status((ask_for($t, $chat, $of{user}, 'X-API-Key: key-w'))[0]), 403, 'guards of a tier');
is(status((ask_for($t, $chat, $of{user}, 'X-API-Key: key-a'))[0]), 200, 'another tier');
is(status((ask_for($t, "/mask/off$chat", $of{user}, 'X-API-Key: key-w'))[0]), 403, 'guards of a tier, off in the location');
($r, $line) = ask_for($t, "/log$chat", $of{user}, 'X-API-Key: key-w');
is_deeply([status($r), $line->{guard}], [403, { 'pattern.bird' => 2 }], 'both of them look');

# paths whose bodies aren't read

for (['/block/v1/audio/transcriptions', 'unread_endpoint'], ['/log/v1/audio/transcriptions', ''], ['/v1/audio/transcriptions', '']) {
	my ($uri, $detail) = @$_;
	($r, $line) = ask_for($t, $uri, '{"model":"m"}', 'X-API-Key: key-a');
	is(($line->{detail} // ''), $detail, "bodies that aren't read: $uri");
}

###############################################################################

# what nginx does with it

($r, $line) = ask_for($t, "/dry$chat", said('project falcon'), 'X-API-Key: key-a');
is(status($r) . " $line->{decision} $line->{reason} $line->{dry_run}", '200 deny content_policy 1', 'dry run');
is(got("/fallback$chat", $body), $masked, 'redirected, under the same guard');
is(got("/fallback-open$chat", $body), $body, 'redirected, without us: as the client sent it');
is(got("/fallback-block$chat", $body), $body, 'redirected, under another guard: as the client sent it');
($r, $line) = ask_for($t, "/fallback-block$chat", said('project falcon'), 'X-API-Key: key-a');
is(status($r) . ' ' . ($line->{detail} // ''), '403 guard_blocked pattern.codename', 'redirected, and blocked there');
($r) = ask_for($t, "/page$chat", said('project falcon'), 'X-API-Key: key-a');
is(status($r) . ' ' . http_content($r), '403 a page', 'the page of an operator');

# Terms are read anew with the configuration.

is(status((ask_for($t, "/block$chat", said('a red harvest'), 'X-API-Key: key-a'))[0]), 200, 'no term yet');
$t->write_file('terms.txt', "red harvest\n");
reload_and_wait($t);
is(status((ask_for($t, "/block$chat", said('a red harvest'), 'X-API-Key: key-a'))[0]), 403, 'a term after a reload');
is(status((ask_for($t, "/block$chat", said('a blue harvest'), 'X-API-Key: key-a'))[0]), 200, 'and one that is gone');

# nginx itself writes headers into the error log, when it is told to write everything.
unlike($t->read_file('audit.log') . join("\n", grep { !/\[debug\]/ } grep { /\[\w+\]/ } split /\n/, $t->read_file('error.log')),
	qr/jane|falcon,|Harvest|tg_q7Zr/, 'nothing of any text in the logs');

###############################################################################

# A request in which the user says this.
sub said {
	my ($text) = @_;
	utf8::decode($text);
	return { model => 'm', messages => [{ role => 'system', content => 'be kind' }, { role => 'user', content => $text }] };
}

# The body that the engine got.
sub got {
	my ($uri, $sent) = @_;
	my $id = new_id();
	my $r = ask(post($uri, $sent, "X-API-Key: key-a", "X-Request-ID: $id"));
	return engine_body(8081, $id) // 'nothing: ' . (status($r) // 'none');
}

###############################################################################
