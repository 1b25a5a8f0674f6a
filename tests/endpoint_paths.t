#!/usr/bin/perl

# The path that is judged is the one that the engine gets: hundreds of spellings, in locations of all kinds.
# What arrived is decoded as an engine decodes it, and has to be one that is for clients; what takes tokens has to
# have been read. Of each kind of location, what an honest client sends arrives.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::Metered;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

# Kinds of locations: what a client has to put before the engine's path, what of it the engine gets as well, and
# the location.
my @styles = (
	[ 'as it is', '', '', 'location / { proxy_pass http://BACKEND; }' ],
	[ 'a slash for a slash', '', '', 'location / { proxy_pass http://BACKEND/; }' ],
	[ 'a prefix that stays', '/llm', '/llm', 'location /llm/ { proxy_pass http://BACKEND; }' ],
	[ 'a prefix taken off', '/llm', '', 'location /llm/ { proxy_pass http://BACKEND/; }' ],
	[ 'a prefix without slash', '/llm', '', 'location /llm { proxy_pass http://BACKEND/; }', '/llm' ],
	[ 'another prefix', '/api', '/gpu', 'location /api/ { proxy_pass http://BACKEND/gpu/; }' ],
	[ 'a regular expression', '', '', 'location ~ ^/. { proxy_pass http://BACKEND; }' ],
	[ 'rewrite, break', '/llm', '',
		'location /llm/ { rewrite ^/llm(/.*)$ $1 break; proxy_pass http://BACKEND; }' ],
	[ 'rewrite, break, a path', '/llm', '',
		'location /llm/ { rewrite ^/llm(/.*)$ $1 break; proxy_pass http://BACKEND/gpu/; }' ],
	[ 'rewrite, last', '/llm', '', 'location /llm/ { rewrite ^/llm(/.*)$ $1 last; }
		location / { proxy_pass http://BACKEND; }' ],
	[ 'a named location', '', '', 'location / { try_files /missing @engine; }
		location @engine { proxy_pass http://BACKEND; }' ],
	[ 'a named location, rewritten', '/llm', '', 'location /llm/ { try_files /missing @engine; }
		location @engine { rewrite ^/llm(/.*)$ $1 break; proxy_pass http://BACKEND; }' ],
	[ 'a variable', '', '', 'location / { set $up BACKEND; proxy_pass http://$up; }' ],
	[ 'a variable, $request_uri', '', '',
		'location / { set $up BACKEND; proxy_pass http://$up$request_uri; }' ],
	[ 'a variable, $uri', '', '', 'location / { set $up BACKEND; proxy_pass http://$up$uri; }' ],
	[ 'a variable, a prefix', '', '/gpu',
		'location / { set $up BACKEND; proxy_pass http://$up/gpu$uri; }' ],
	[ 'a variable, a capture', '/llm', '',
		'location ~ ^/llm(?<rest>/.*)$ { set $up BACKEND; proxy_pass http://$up$rest; }' ],
	[ 'if', '', '', 'location / { if ($request_method) { proxy_pass http://BACKEND; } }' ],
	[ 'if, a path around it', '/llm', '',
		'location /llm/ { proxy_pass http://BACKEND/; if ($request_method) { set $x 1; } }' ],
	[ 'slashes are not merged', '', '', 'merge_slashes off; location / { proxy_pass http://BACKEND; }' ],
	[ 'slashes are not merged, a prefix', '/llm', '',
		'merge_slashes off; location /llm/ { proxy_pass http://BACKEND/; }' ],
	[ 'an argument', '/go?p=', '', 'location /go { rewrite ^ $arg_p? break; proxy_pass http://BACKEND; }' ],
	[ 'nested', '/a/b', '', 'location /a/ { proxy_pass http://BACKEND; location /a/b/ { proxy_pass http://BACKEND/; } }' ],
);

my $servers = '';
my $unmerged = 8082;
for my $style (@styles) {
	my ($number, $location) = (++$style->[5], $style->[3]);
	# Of an address, nginx goes by the "merge_slashes" of the first server.
	my $port = $location =~ /merge_slashes/ ? $unmerged++ : 8080;
	$style->[7] = $port;
	$number = scalar(grep { $_->[5] } @styles);
	$style->[5] = "s$number";
	$location =~ s/BACKEND/127.0.0.1:8081/g;
	$servers .= <<"EOC";

    server {
        listen       127.0.0.1:$port;
        server_name  s$number;

        tollgate         on;
        tollgate_engine  vllm;

        $location
    }
EOC
}

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/);
my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_tier  tokens { tokens 1000m/h; }

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;
SERVERS
    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        merge_slashes           off;
        ignore_invalid_headers  off;

        location / {
            add_header  X-Saw "$request_method $request_uri" always;
            return      200 "{}";
        }
    }
}

EOC
$conf =~ s/SERVERS/$servers/;
$t->write_file_expand('nginx.conf', $conf);
$t->write_file('keys.json', keys_file({ key => 'key-tokens', client => 'acme', tier => 'tokens' }));
$t->run()->plan(5 * @styles + 1);

# Spellings of a path.
sub spellings {
	my ($path) = @_;
	my ($first) = $path =~ m!^/([^/])!;
	my $hex = sprintf '%%%02x', ord $first;
	my $rest = substr $path, 2;
	my @all = ($path, "/$path", "//$path", "$path/", "$path//", "$path/.", "$path/..", "$path/../x", "/.$path",
		"/..$path", "/x/..$path", "/x/../$path", "/./.$path", "/%2e$path", "/%2e%2e$path", "/x/%2e%2e$path",
		"/x/%2E%2e$path", "/x/.%2e$path", "/x/%252e%252e$path", "/..;$path", "/x/..;$path", "/;$path", "/x;y$path",
		"$path;x", "$path;", "$path%3bx", "$path%00", "$path%0a", "$path%0A", "$path%0d%0a", "$path%09", "$path%20",
		"$path%7f", "$path%5c", "$path\\", "\\$path", "/%5c..$path", "/%2f$path", "%2f$path", "$path%2f",
		"$path%2F..", "$path%2fx", "/$hex$rest", "/%25" . substr($hex, 1) . $rest, "/$first%00$rest",
		"$path?x=1", "$path?", "$path??", "$path%3f", "$path%3fx=1", "$path#x", "$path%23x", "$path%23",
		"$path?x#y", uc $path, ucfirst(lc $path), "/x$path", "/metrics$path", "/v1/models$path",
		"$path/metrics", "/metrics%3f$path", "/metrics#$path", "/metrics;$path", "/x/../metrics$path",
		"http://HOST$path", "http://HOST/$path", "HTTP://HOST:80$path", "http://HOST$path#x",
		$path =~ s!/!//!gr, $path =~ s!/!/./!gr, $path =~ s!/!%2f!gr, '/' . substr($path, 1) =~ s!/!%2f!gr,
		'/' . substr($path, 1) =~ s!/!%252f!gr, '/' . substr($path, 1) =~ s!/!\\!gr,
		$path =~ s!^/v1!!r, $path =~ s!^/v1!/V1!r, $path =~ s!^/v1!/v2!r, "/v1$path");
	return @all;
}

my @asked = ((map { "GET $_" } map { spellings($_) } qw!/v1/models /metrics /health /v1/responses/resp_1!),
	(map { "POST $_" } map { spellings($_) } qw!/v1/chat/completions /tokenize /collective_rpc!));
my %seen;
@asked = grep { !$seen{$_}++ } @asked;
cmp_ok(scalar(@asked), '>=', 300, 'requests: ' . @asked);

my %for_clients = map { $_ => 1 } 'GET /v1/models', 'GET /health', 'GET /ping', 'POST /ping', 'POST /tokenize';

# Whether what an engine decodes of this is for clients, and whether it takes tokens.
sub is_for_clients {
	my ($method, $target, $prefix) = @_;
	my ($path) = $target =~ /^([^?#]*)/;
	$path =~ s/%([0-9a-fA-F]{2})/chr hex $1/ge;
	return 0 if length $prefix && $path !~ s/^\Q$prefix\E(?=\/)//;
	return 0 if $path =~ m![\x00-\x1f\x7f\\]|/\.{0,2}(;[^/]*)?/|/\.{1,2}(;[^/]*)?$!;
	return 1 if $for_clients{"$method $path"};
	return 1 if $method eq 'GET' && $path =~ m!^/v1/responses/[^/?#]+$!;
	# What is read, is read in other spellings as well.
	$path =~ s/[?#].*//s;
	return $method eq 'POST' && $path =~ m!^(/v1)?/chat/completions/*$!i ? 2 : 0;
}

my $number = 0;
for my $style (@styles) {
	my ($name, $before, $prefix, undef, $joint, $host, undef, $port) = @$style;
	my (%arrived, @wrong, @statuses, %metered, $count);
	for my $asked (@asked) {
		my ($method, $path) = split / /, $asked, 2;
		# "/llm" and "/" make "//": without the slash, then.
		$path =~ s!^/!! if $joint;
		$path = $path =~ s!^(http://[^/]*)!$1$before!ir if $path =~ m!^http://!i;
		$path = "$before$path" unless $path =~ m!^http://!i;
		$path =~ s/HOST/$host/g;
		my $id = 'r' . ++$number;
		my $body = $method eq 'POST' ? '{"model":"m"}' : '';
		my $r = http("$method $path HTTP/1.1\r\nHost: $host\r\nConnection: close\r\nX-API-Key: key-tokens\r\n"
			. "X-Request-ID: $id\r\nContent-Length: " . length($body) . "\r\n\r\n$body", PeerAddr => '127.0.0.1:' . port($port));
		$count++;
		my $saw = header($r // '', 'X-Saw');
		if (!defined $saw) {
			push @statuses, "$asked: " . (status($r) // 'none')
				unless (status($r) // 0) =~ /^(?:400|403|404|405)$/;
			next;
		}
		my ($got, $target) = split / /, $saw, 2;
		my $verdict = is_for_clients($got, $target, $prefix);
		push @wrong, "$asked: $saw" unless $verdict && $got eq $method;
		$metered{$id} = $asked if $verdict == 2;
		$arrived{$asked} = 1;
	}
	is_deeply(\@wrong, [], "$name: nothing but what is for clients arrives, of $count");
	is_deeply(\@statuses, [], "$name: all else is refused");
	my @honest = ('GET /v1/models', 'POST /v1/chat/completions', 'POST /tokenize');
	is_deeply([ grep { !$arrived{$_} } @honest ], [], "$name: what honest clients send arrives");
	cmp_ok(scalar(keys %arrived), '>=', 10, "$name: arrived: " . keys %arrived);
	$style->[6] = \%metered;
}

# What takes tokens was read.
$t->stop();
my %model;
for (split /\n/, $t->read_file('audit.log')) {
	my $line = JSON::PP::decode_json($_);
	$model{$line->{request_id}} = $line->{model} // '' if defined $line->{request_id};
}
for my $style (@styles) {
	my ($name, $metered) = @{$style}[0, 6];
	is_deeply([ map { $metered->{$_} } grep { ($model{$_} // '') ne 'm' } sort keys %$metered ], [],
		"$name: what takes tokens is read, of " . keys %$metered);
}
