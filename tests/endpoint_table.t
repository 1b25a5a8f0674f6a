#!/usr/bin/perl

# Each line of docs/engines.md, which is made of the engines' tables, through nginx: by its methods and by one that
# it hasn't, for keys with its scope, with all others, with "admin" alone, and with what a key has by default.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my @scopes = qw/chat completions embeddings responses audio images rerank tokenize models files batches/;

# The tables: [engine, methods, path, kind, scope, whether it is read].
my (@rows, $engine);
open my $page, '<', "$FindBin::Bin/../docs/engines.md" or die "Can't read docs/engines.md: $!\n";
while (<$page>) {
	$engine = $1 if /^## (\S+)/;
	push @rows, [$engine, [split /, /, $1], $2, $3, $4, length $5]
		if /^\| ([A-Z, ]+) \| `(\S+)` \| .* \| (\w+) \| `(\w+)` \| (\S*) ?\|$/;
}
close $page;
my @engines = do { my %seen; grep { !$seen{$_}++ } map { $_->[0] } @rows };

my $servers = join '', map { <<"EOC" } @engines;

    server {
        listen       127.0.0.1:8080;
        server_name  $_;

        tollgate         on;
        tollgate_engine  $_;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }
    }
EOC

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/);
my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone          zone=tollgate:1m;
    tollgate_tier          free { }
    tollgate_default_tier  free;
    tollgate_api_keys      keys.json;
    tollgate_audit_log     %%TESTDIR%%/audit.log;
SERVERS
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
$conf =~ s/SERVERS/$servers/;
$t->write_file_expand('nginx.conf', $conf);
$t->write_file('keys.json', keys_file({ key => 'default', client => 'acme' },
	{ key => 'only-admin', client => 'acme', scopes => ['admin'] },
	map {
		my $one = $_;
		{ key => "only-$one", client => 'acme', scopes => [$one] },
		{ key => "without-$one", client => 'acme', scopes => [grep { $_ ne $one } @scopes] },
	} @scopes));
$t->run()->plan(2 + 5 * @engines);

cmp_ok(scalar(@rows), '>', 300, 'lines: ' . @rows);

my (%wrong, $count);
my (%expected, %kept);

# Notes what should have become of a request: 200, or a reason.
sub check {
	my ($what, $engine, $method, $path, $key, $expected) = @_;
	my $id = 'r' . ++$count;
	my $body = $method =~ /^(?:POST|PUT)$/ ? '{"model":"m","prompt":"x","input":"x","inputs":"x","text":"x",'
		. '"messages":[{"role":"user","content":"x"}],"token_ids":[1],"query":"x","documents":["x"],'
		. '"items":["x"],"content":"x","texts":["x"]}' : '';
	my $r = http("$method $path HTTP/1.1\r\nHost: $engine\r\nConnection: close\r\nX-API-Key: $key\r\n"
		. "X-Request-ID: $id\r\nContent-Length: " . length($body) . "\r\n\r\n$body") // '';
	my $arrived = (header($r, 'X-Saw') // '') eq "$method $path";
	# What is read may not have what it needs for that.
	my $passed = $arrived || ((status($r) // 0) == 400 && $expected eq '200');
	# What clients keep at an engine is for tollgate_owned_objects to open.
	if ($expected eq '200' && !$passed && status($r) == 403) {
		$kept{$id} = [$engine, "$method $path with $key"];
		$passed = 1;
	}
	my $is_right = $expected eq '200' ? $passed : !$arrived && (status($r) // 0) == 403;
	push @{$wrong{$engine}{$what}}, "$method $path with $key: " . (status($r) // 'none') unless $is_right;
	$expected{$id} = [$engine, $expected, "$method $path with $key"] unless $expected eq '200';
}

for (@rows) {
	my ($engine, $methods, $pattern, $kind, $scope) = @$_;
	my $path = $pattern =~ s/\{\w+:path\}/some\/thing-1/r =~ s/\{\w+\}/some-thing-1/gr;
	for my $method (@$methods) {
		if ($scope eq 'admin') {
			my $reason = 'endpoint_denied';
			check(operators => $engine, $method, $path, 'default', $reason);
			check(operators => $engine, $method, $path, 'only-models', $reason);
			check(operators => $engine, $method, $path, 'only-admin', '200');
		} else {
			check(clients => $engine, $method, $path, 'default', '200');
			check(clients => $engine, $method, $path, "only-$scope", '200');
			check(scopes => $engine, $method, $path, "without-$scope", 'scope_denied');
			check(scopes => $engine, $method, $path, 'only-admin', 'scope_denied');
		}
	}
	for my $method ('PATCH', 'OPTIONS') {
		check(methods => $engine, $method, $path, 'default', 'endpoint_denied');
		check(methods => $engine, $method, $path, 'only-admin', '200');
	}
	check(beyond => $engine, $methods->[0], "/prefix$path", 'default', 'endpoint_denied');
}
cmp_ok($count, '>=', 3000, "requests: $count");

$t->stop();
my (%reason, %detail);
for (split /\n/, $t->read_file('audit.log')) {
	my $line = JSON::PP::decode_json($_);
	$reason{$line->{request_id}} = $line->{reason} // '';
	$detail{$line->{request_id}} = $line->{detail} // '';
}
my %logged;
for my $id (keys %expected) {
	my ($engine, $expected, $name) = @{$expected{$id}};
	push @{$logged{$engine}}, "$name: " . ($reason{$id} // 'none') unless ($reason{$id} // '') eq $expected;
}

for my $id (keys %kept) {
	my ($engine, $name) = @{$kept{$id}};
	push @{$logged{$engine}}, "$name: " . ($detail{$id} // 'none')
		unless ($detail{$id} // '') =~ /^(?:objects_unkept|lists_objects)$/;
}

for my $engine (@engines) {
	my $none = sub { is_deeply($wrong{$engine}{$_[0]} // [], [], "$engine: $_[1]") };
	$none->(clients => 'what is for clients is open to those who have its scope');
	$none->(scopes => 'and to nobody else');
	$none->(operators => 'what is for operators is open to those with "admin"');
	$none->($_ => "no other method, no prefix of the client's: $_") for 'methods';
	is_deeply([ @{$wrong{$engine}{beyond} // []}, @{$logged{$engine} // []} ], [], "$engine: prefixes, the log");
}
