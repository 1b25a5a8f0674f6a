#!/usr/bin/perl

# Variables that nginx evaluated before Tollgate changed the request: an "if" or a map in the rewrite
# phase keeps their values. What was taken off must not come back with them, and what was changed must
# not be what it was; whatever else was evaluated stays as it is.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header json keys_file status/;
use Tollgate::Client;
use Tollgate::H2;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()
	->has(qw/http http_v2 proxy rewrite map geo split_clients upstream_keepalive auth_request/)
	->plan(41)->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier      free { tokens 1m/m; }
    tollgate_api_keys  keys.json;

    map $http_x_client_id   $role    { default none; root admin; }
    map $role               $nested  { default no; admin yes; }
    map $http_authorization $copied  { default $http_authorization; }
    map $http_authorization $matched { default ''; "~^Bearer (?<word>.*)$" $word; }
    map $uri                $plain   { default $uri; }
    geo $http_x_client_id   $nowhere { default unknown; 10.0.0.0/8 inside; }
    split_clients "$http_x_api_key"  $split { 0.01% rare; * common; }
    split_clients "$http_x_client_id" $drawn { 100% all; }

    upstream engine {
        server    127.0.0.1:8081;
        keepalive 1;
    }

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;

        tollgate on;

        # Everything is evaluated here.
        if ($http_x_client_id = nobody)     { set $x 1; }
        if ($http_x_request_id = nothing)   { set $x 1; }
        if ($http_x_api_key = nothing)      { set $x 1; }
        if ($http_api_key = nothing)        { set $x 1; }
        if ($http_accept_encoding = 1)      { set $x 1; }
        if ($http_upgrade = 1)              { set $x 1; }
        if ($cookie_session = 1)            { set $x 1; }
        if ($role = nothing)                { set $x 1; }
        if ($nested = nothing)              { set $x 1; }
        if ($copied = nothing)              { set $x 1; }
        if ($matched = nothing)             { set $x 1; }
        if ($plain = nothing)               { set $x 1; }
        if ($nowhere = nothing)             { set $x 1; }
        if ($split = nothing)               { set $x 1; }
        if ($drawn = nothing)               { set $x 1; }
        if ($content_length = 1)            { set $x 1; }
        if ($http_content_length = 1)       { set $x 1; }
        if ($request_id = 1)                { set $x 1; }
        if ($http_x_other = nothing)        { set $x 1; }
        set $assigned "$uri and $http_x_other";
        set $stolen   "key=$http_x_api_key";

        location ~ ^/headers/(.*)$ {
            rewrite ^/headers/one$ /rewritten break;
            proxy_set_header X-Client-ID     $http_x_client_id;
            proxy_set_header X-API-Key       $http_x_api_key;
            proxy_set_header Api-Key         $http_api_key;
            proxy_set_header Authorization   $http_authorization;
            proxy_set_header X-Request-ID    $http_x_request_id;
            proxy_set_header Upgrade         $http_upgrade;
            proxy_set_header X-Session       $cookie_session;
            proxy_set_header X-Role          $role;
            proxy_set_header X-Nested        $nested;
            proxy_set_header X-Copied        $copied;
            proxy_set_header X-Matched       $matched;
            proxy_set_header X-Word          $word;
            proxy_set_header X-Plain         $plain;
            proxy_set_header X-Nowhere       $nowhere;
            proxy_set_header X-Split         $split;
            proxy_set_header X-Assigned      $assigned;
            proxy_set_header X-Stolen        $stolen;
            proxy_set_header X-Other         $http_x_other;
            proxy_set_header X-Id            $request_id;
            add_header       X-Id            $request_id;
            proxy_pass http://127.0.0.1:8083;
        }

        location ~ ^/captures/(.*)$ {
            if ($matched = nothing) { set $x 1; }
            proxy_set_header X-Capture $1;
            proxy_set_header X-Matched $matched;
            proxy_set_header X-Again   $1;
            proxy_pass http://127.0.0.1:8083;
        }

        location /found/ {
            if ($http_authorization ~ "^Bearer (.*)$") { set $x 1; }
            proxy_set_header X-Capture $1;
            proxy_pass http://127.0.0.1:8083;
        }

        location /pieces/ {
            set $both "$uri $http_authorization";
            if ($both ~ "Bearer (.*)$") { set $x 1; }
            proxy_set_header X-Capture $1;
            proxy_pass http://127.0.0.1:8083;
        }

        location /named/ {
            if ($http_x_client_id ~ "^(.*)$") { set $x 1; }
            proxy_set_header X-Capture $1;
            proxy_pass http://127.0.0.1:8083;
        }

        location /other/ {
            if ($http_x_other ~ "^(.*)$") { set $x 1; }
            proxy_set_header X-Capture $1;
            proxy_pass http://127.0.0.1:8083;
        }

        location /set/ {
            set $length $content_length;
            proxy_http_version 1.1;
            proxy_set_header   Connection '';
            proxy_set_header   Content-Length $length;
            proxy_set_header   X-Length $http_content_length;
            proxy_set_header   Accept-Encoding identity;
            proxy_pass         http://engine;
        }

        location /set/always/ {
            tollgate_include_usage always;
            set $length $content_length;
            proxy_pass http://engine;
        }

        location /v1/ {
            proxy_http_version 1.1;
            proxy_set_header   Connection '';
            proxy_set_header   Content-Length $content_length;
            proxy_set_header   X-Length $http_content_length;
            proxy_set_header   Accept-Encoding $http_accept_encoding;
            proxy_pass         http://engine;
        }

        location /asked {
            auth_request /auth;
            proxy_pass http://127.0.0.1:8083;
        }

        location = /auth {
            internal;
            proxy_set_header X-Role $role;
            proxy_set_header X-Client-ID $http_x_client_id;
            proxy_pass http://127.0.0.1:8083;
        }
    }

    server {
        listen       127.0.0.1:8081;

        location / {
            return 200 "length=$content_length x=$http_x_length encoding=$http_accept_encoding on=$connection_requests";
        }
    }
}

EOF

$t->write_file('keys.json', keys_file(
	{ key => 'tg_cccccccccccccccccccccccccccc', client => 'acme', tier => 'free' }));
$t->run_daemon(\&echo, port(8083), $t->testdir());
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8083));

###############################################################################

my $key = 'tg_cccccccccccccccccccccccccccc';
my $r = get('/headers/one', "X-API-Key: $key", "Authorization: Bearer $key", 'X-Client-ID: root',
	"Api-Key: $key", 'X-Other: mine', 'X-Request-ID: sk-proj-aaaaaaaaaaaa', 'Upgrade: websocket',
	"Cookie: session=$key");
my %seen = map { /^(.*?): (.*)$/ ? (lc $1, $2) : () } split /\n/, http_content($r);

is(status($r), 200, 'let in');
is($seen{'x-client-id'}, 'acme', '$http_x_client_id is ours');
is($seen{'x-role'}, 'none', 'so is a map of it');
is($seen{'x-nested'}, 'no', 'and a map of that');
is($seen{'x-nowhere'}, 'unknown', 'and a geo');
is($seen{'x-api-key'}, undef, '$http_x_api_key is empty');
is($seen{'api-key'}, undef, 'so is that of a header with the same key');
is($seen{authorization}, undef, '$http_authorization is empty');
is($seen{'x-copied'}, undef, 'so is a copy of it in a map');
is($seen{'x-matched'}, undef, 'and a part of it');
is($seen{'x-word'}, undef, 'under a name of its own, too');
is($seen{'x-session'}, undef, 'and a cookie');
is($seen{'x-stolen'}, undef, 'and a copy by set');
is($seen{upgrade}, undef, 'and $http_upgrade');
like($seen{'x-request-id'}, qr/^[0-9a-f]{32}$/, '$http_x_request_id is ours');
unlike(http_content($r), qr/\Q$key/, 'the key is nowhere');

is($seen{'x-plain'}, '/headers/one', 'a map of something else stays as it was evaluated');
like($seen{'x-split'}, qr/^(rare|common)$/, 'split_clients has a value');
is($seen{'x-assigned'}, '/headers/one and mine', 'set stays');
is($seen{'x-other'}, 'mine', 'other headers stay');
is($seen{'x-id'}, header($r, 'X-Id'), 'nothing is drawn by lot twice');

# a client who claims nothing

$r = get('/headers/two', "X-API-Key: $key");
%seen = map { /^(.*?): (.*)$/ ? (lc $1, $2) : () } split /\n/, http_content($r);
is($seen{'x-client-id'}, 'acme', 'a header that was not there is ours');
like($seen{'x-request-id'}, qr/^[0-9a-f]{32}$/, 'and the id');

$r = get('/captures/of', 'X-Client-ID: root', "Authorization: Bearer $key");
like(http_content($r), qr/^X-Capture: of\nX-Again: of\n/m, 'captures stay');

for my $case (['found', 'the key'], ['pieces', 'the key, among others'], ['named', 'a name of the client\'s']) {
	my ($location, $what) = @$case;
	unlike(http_content(get("/$location/x", 'X-Client-ID: root', "Authorization: Bearer $key")),
		qr/^X-Capture/m, "captures of $what don't");
}
like(http_content(get('/other/x', 'X-Other: mine', "X-API-Key: $key")), qr/^X-Capture: mine$/m,
	'captures of another header do');

# subrequests

$r = get('/asked', "X-API-Key: $key", 'X-Client-ID: root');
is(status($r), 200, 'auth_request: let in');
my ($asked) = grep { m!^GET /auth! } split /\n\n/, $t->read_file('seen');
like($asked, qr/^X-Role: none$/mi, 'auth_request: a map is evaluated again');
unlike($asked, qr/^X-Client-ID/mi, 'auth_request: and the header');

# the length of the body, to which stream_options are added

my $body = json({ model => 'm', stream => JSON::PP::true(), prompt => 'hello' });
my $length = length($body) + length(',"stream_options":{"include_usage":true}');
my $line = "length=$length x=$length encoding=identity";
is(post('Content-Length: ' . length $body, '', $body), "$line on=1", 'the length is the new one');
is(post('Content-Length: ' . length $body, '', $body), "$line on=2", 'and the connection goes on');
$line = "length=$length x= encoding=identity";
is(post('Transfer-Encoding: chunked', '', sprintf("%x\r\n%s\r\n0\r\n\r\n", length $body, $body)),
	"$line on=3", 'so it is with chunks');
is(post('Transfer-Encoding: chunked', '', join('', map { "1\r\n$_\r\n" } split //, $body) . "0\r\n\r\n"),
	"$line on=4", 'and with many');
my $h2 = Tollgate::H2->new(port(8082));
my $stream = $h2->post('/v1/completions', $body, 'x-api-key' => $key, 'accept-encoding' => 'gzip');
poll { $h2->receive(); $h2->{ended}{$stream} };
is($h2->{data}{$stream}, "$line on=5", 'and over HTTP/2 without a length');
is(post('Content-Length: ' . length $body, '', $body) =~ s/ on=.*//r, "length=$length x=$length encoding=identity",
	'and after that');

# a length that can't be evaluated again

my $old = length $body;
like(post("Content-Length: $old", '', $body, '/set/v1/completions'),
	qr/^length=$old x=$old /, 'what set keeps of the length stays true');
is(post("Content-Length: $old", '', $body, '/set/v1/completions') =~ s/ .*//r, "length=$old",
	'and the connection goes on');
like($t->read_file('error.log'), qr/a variable of "set" holds the length of the body/, 'the log says it');
like(post("Content-Length: $old", '', $body, '/set/always/v1/completions'), qr/internal_error|server_error/,
	'nothing goes unmeasured where usage is always asked for');

###############################################################################

sub post {
	my ($how, $more, $body, $uri) = @_;
	$uri //= '/v1/completions';
	return http_content(http(join("\r\n", "POST $uri HTTP/1.1", 'Host: localhost', 'Connection: close',
		"X-API-Key: $key", 'Accept-Encoding: gzip', $how, '', $body)));
}

# Answers with the head of the request, and writes it down.
sub echo {
	my ($port, $dir) = @_;
	my $server = IO::Socket::INET->new(
		Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 5, ReuseAddr => 1)
		or die "Can't create listening socket: $!\n";
	while (my $client = $server->accept()) {
		my $head = '';
		while (<$client>) {
			last if /^\x0d?\x0a?$/;
			$head .= s/\x0d//r;
		}
		open my $seen, '>>', "$dir/seen" or die;
		print $seen "$head\n";
		close $seen;
		print $client "HTTP/1.1 200 OK\x0d\x0aConnection: close\x0d\x0aContent-Length: " . length($head)
			. "\x0d\x0a\x0d\x0a$head";
		close $client;
	}
}

###############################################################################
