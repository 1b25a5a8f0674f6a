#!/usr/bin/perl

# Providers are asked by the worker, for all of its clients. What the server does with requests of clients
# before it finds their location is no question's business; and a provider that is slow, dead or lies costs
# nobody anything who doesn't need its answer: no slot, no connection, and no time.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ header json status /;
use Tollgate::Client;
use Tollgate::Provider;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()
	->has(qw/http access auth_basic geo limit_conn limit_req map proxy realip rewrite ssi/)
	->has_daemon('openssl')->has_daemon('curl');

my $has_http2 = $t->has_module('http_v2') && `curl -V 2>/dev/null` =~ /\bHTTP2\b/;
my $listen_http2 = $t->has_version('1.25.1')
	? 'listen 127.0.0.1:8082; http2 on;' : 'listen 127.0.0.1:8082 http2;';

start_provider($t, 8090);
new_key($_) for qw/old new/;
my %token = map { $_ => token($_, { sub => $_ }) } qw/old new/;
my $good = key_set('old');

# What a server does to its clients; and, maybe, what is special in its internal location.
my $ask = 'proxy_pass http://127.0.0.1:8090/NAME;';
my %servers = (
	agent => ['if ($http_user_agent = "") { return 403; }'],
	'agent-too' => ['if ($http_user_agent = "") { return 200 "{}"; }'],
	cookie => ['if ($cookie_session = "") { return 302 https://login.example.com/; }'],
	host => ['if ($http_host != host) { return 444; }'],
	name => ['if ($host = $server_name) { set $is_asked 1; } if ($http_x_real = "") { return 444; }'],
	method => ['if ($request_method != POST) { return 405; }'],
	scheme => ['if ($http_x_forwarded_proto != https) { return 301 https://$host$request_uri; }'],
	matched => ['if ($http_user_agent !~ ^Test) { return 403; }'],
	last => ['rewrite ^/_(.*)$ /elsewhere last;'],
	break => ['rewrite ^/_(.*)$ /elsewhere break;'],
	permanent => ['rewrite ^/_(.*)$ https://www.example.com/$1 permanent;'],
	args => ['set $args of=clients;', 'proxy_pass http://127.0.0.1:8090/NAME$is_args$args;'],
	set => ['if ($http_user_agent = "") { return 403; } set $provider 127.0.0.1:8090;'
		. ' if ($provider) { set $page NAME; }', 'proxy_pass http://$provider/$page;'],
	own => ['', 'set $page NAME; rewrite ^ /$page break; proxy_pass http://127.0.0.1:8090;'],
	'own-if' => ['', 'if ($http_user_agent = "") { return 403; } ' . $ask, 503],
	redirected => ['', 'rewrite ^ /moved last;'],
	basic => ['auth_basic closed; auth_basic_user_file nobody;'],
	deny => ['deny all;'],
	except => ['', "limit_except POST { deny all; } $ask"],
	'limit-req' => ['limit_req zone=requests;'],
	'limit-conn' => ['limit_conn connections 1;'],
	realip => ['set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;'],
	geo => ['', 'if ($is_near = 0) { return 403; } ' . $ask],
	ssi => ['ssi on; ssi_types application/json;'],
	aborts => ['proxy_ignore_client_abort on;'],
	unbuffered => ['proxy_buffering off;'],
	tcp => ['tcp_nodelay on; tcp_nopush on; reset_timedout_connection on; lingering_close always;'],
	pages => ['error_page 404 = /elsewhere; recursive_error_pages on;'],
	tries => ['', "try_files /no-such-file \@tries; ", 200,
		'location @tries { rewrite ^ /NAME break; proxy_pass http://127.0.0.1:8090; }'],
	heads => ['', 'proxy_set_header X-Of "$remote_addr $server_addr $server_port $scheme$https $host'
		. ' $server_protocol $request_method $request_uri $request $http_host$http_cookie$args $ssl_protocol'
		. '$proxy_protocol_addr$remote_user$content_length" ; ' . $ask],
	bound => ['', "proxy_bind \$remote_addr; $ask"],
	logged => ['', "log_subrequest on; access_log %%TESTDIR%%/asked.log asked; $ask"],
);
my $servers = join '', map {
	my ($server, $location, undef, $more) = @{$servers{$_}};
	my $text = <<EOS;
    server {
        listen       127.0.0.1:8080;
        server_name  $_;
        @{[$server // '']}

        tollgate on;
        tollgate_jwt_key_request /_$_;

        location / {
            allow all;
            auth_basic off;
            proxy_pass http://127.0.0.1:8081;
        }

        location = /_$_ {
            internal;
            @{[$location // $ask]}
        }

        location /elsewhere { tollgate off; return 200 '%%EVIL%%'; }
        location = /moved { internal; proxy_pass http://127.0.0.1:8090/NAME; }
        @{[$more // '']}
    }
EOS
	$text =~ s/NAME/$_/gr;
} sort keys %servers;

# Where the keys are asked for again soon, but are good for long.
my @places = qw/hang http2 lies exits dies left/;
my $locations = join '', map { <<EOL } @places;
        location /$_/ {
            tollgate_jwt_key_request /_$_;
            tollgate_jwt_key_cache   1s stale=1h;
            tollgate_apply           one_$_;
            proxy_pass http://127.0.0.1:8081/;
        }
        location = /_$_ { internal; proxy_pass http://127.0.0.1:8090/$_; }
EOL
my $rules = join '', map { "    tollgate_limit one_$_ key=all concurrency=1;\n" } @places;

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    keepalive_requests     100000;

    tollgate_zone          zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier          free { }
    tollgate_default_tier  free;
    tollgate_auth          jwt;
    tollgate_audit_log     %%TESTDIR%%/audit.log;
%%RULES%%
    limit_req_zone         $binary_remote_addr zone=requests:1m rate=1r/m;
    limit_conn_zone        $binary_remote_addr zone=connections:1m;
    log_format             asked '$remote_addr "$request" $status $tollgate_client$tollgate_reason';
    access_log             %%TESTDIR%%/all.log asked;

    geo $is_near {
        default       0;
        127.0.0.0/8   1;
    }

%%SERVERS%%

    server {
        listen       127.0.0.1:8080 default_server;
        %%LISTEN_HTTP2%%
        server_name  localhost;

        tollgate on;
        tollgate_jwt_key_request /_hang;

%%LOCATIONS%%

        location = /ping { tollgate off; return 204; }
        location = /pid  { tollgate off; return 200 $pid; }

        location /opaque/ {
            tollgate_auth                  introspection;
            tollgate_introspection_request /_opaque;
            tollgate_introspection_cache   0;
            proxy_pass http://127.0.0.1:8081/;
        }

        location = /_opaque {
            internal;
            return 200 '{"active":true,"sub":"acme"}';
        }

        location /proxied/ {
            tollgate_auth                  introspection;
            tollgate_introspection_request /_proxied;
            tollgate_introspection_cache   0;
            proxy_pass http://127.0.0.1:8081/;
        }

        location = /_proxied { internal; proxy_pass http://127.0.0.1:8081/active; }
    }

    server {
        listen       127.0.0.1:8083;
        server_name  guarded;
        if ($http_user_agent = "") { return 403; }
        if ($request_method = POST) { return 405; }

        tollgate on;
        tollgate_auth introspection;
        tollgate_introspection_request /_guarded;

        location / {
            proxy_pass http://127.0.0.1:8081/;
        }

        location = /_guarded { internal; proxy_pass http://127.0.0.1:8090/guarded; }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 $http_x_client_id;
        }

        location = /active {
            return 200 '{"active":true,"sub":"acme"}';
        }
    }
}

EOC

my %lies = (
	refused => [status => 401, body => '{"error":"who are you?"}'],
	page => [body => '<!DOCTYPE html><title>Sign in</title>', type => 'text/html'],
	huge => [body => ' ' x (300 * 1024)],
	endless => [body => ' ' x 65536, endless => 0.001],
	elsewhere => [body => $good, headers => ['X-Accel-Redirect: /elsewhere']],
	closed => [close => 1],
	cut => [body => $good, cut => 1],
	'in-use' => [body => key_set('new'), status => 500],
);

my $evil = key_set('new');
$conf =~ s/%%LISTEN_HTTP2%%/$has_http2 ? $listen_http2 : ''/e;
$conf =~ s/%%SERVERS%%/$servers/;
$conf =~ s/%%LOCATIONS%%/$locations/;
$conf =~ s/%%RULES%%/$rules/;
$conf =~ s/%%EVIL%%/$evil/g;
$t->plan(2 * keys(%servers) + 28 + 2 * keys %lies)->write_file_expand('nginx.conf', $conf);
$t->write_file('nobody', '');
answers($_, body => $good) for keys %servers, @places;
answers('guarded', body => { active => JSON::PP::true(), sub => 'acme' });
$t->run();

###############################################################################

# the server's rules are for clients

my @client = ("Authorization: Bearer $token{old}", 'User-Agent: Test', 'Cookie: session=1', 'X-Real: 1',
	'X-Forwarded-Proto: https', 'Connection: close', 'Content-Length: 0');
for my $name (sort keys %servers) {
	my $expected = $servers{$name}[2] // 200;
	my $r = http(request('POST /', @client) =~ s/Host: localhost/Host: $name/r);
	is(status($r), $expected, "server: $name");
	my @asked = asked($name);
	is(join(' ', map { $_->{uri} } @asked), $expected == 200 ? "/$name" : '', "server: $name: asked");
}

my ($of) = map { $_->{headers}{'x-of'} } asked('heads');
my $port = port(8080);
is($of, "127.0.0.1 127.0.0.1 $port http heads HTTP/1.1 GET /_heads GET /_heads HTTP/1.1",
	'what variables say of a question');
is($t->read_file('asked.log'), qq{127.0.0.1 "GET /_logged HTTP/1.1" 200 --\n}, 'a log of the location');

my $c = connection(port => 8083);
is(status($c->ask(request('/', 'Authorization: Bearer opaque', 'User-Agent: x'))), 200,
	'introspection: passes');
is(join(' ', map { $_->{method} } asked('guarded')), 'POST', 'introspection: asked in spite of the server');
is(status($c->ask(request('/', 'Authorization: Bearer opaque'))), 403, 'which holds for clients');
my $lines = () = audit_lines($t, 'audit.log', keys(%servers) + 2);
is($lines, keys(%servers) + 2, 'the audit log: of requests of clients only');

###############################################################################

# A refresh hangs: whoever has it begin is done all the same, and so is his connection.

my $client = sub {
	my ($connection, $name, $key) = @_;
	my $r = $connection->ask(request("/$name/", "Authorization: Bearer $token{$key // 'old'}"));
	return (status($r) // 'none') . ' ' . (status($r) // 0 == 200 ? http_content($r) : '');
};
# Asks until the provider has been asked $count times. What was answered: one kind of answer, if all is well.
my $until_asked = sub {
	my ($connection, $name, $count) = @_;
	my %seen;
	poll { $seen{$client->($connection, $name)}++; asked($name) >= $count };
	return join ', ', keys %seen;
};

# Has a refresh hang, and does what must not wait for it; whether that was done before the provider was given
# up, after five seconds. A machine may be too busy once.
my $while_hangs = sub {
	my ($name, $keeps_asking, $does) = @_;
	for (1 .. 6) {
		answers($name, body => $good);
		my $count = asked($name);
		# New keys, or they couldn't be refreshed.
		poll { $keeps_asking->(); asked($name) > $count };
		my $before = complaints($t, "/_$name");
		answers($name, hold => 1);
		$count = asked($name);
		poll { $keeps_asking->(); asked($name) > $count };
		$does->();
		return 1 if complaints($t, "/_$name") == $before;
	}
	return 0;
};

my (%seen, $logged);
$c = connection();
my $ask_hang = sub { $seen{$client->($_[0] // $c, 'hang')}++; $lines++ };
$ask_hang->();
ok($while_hangs->('hang', $ask_hang, sub {
	# On the same connection, and on another one, for which there must be a slot.
	$ask_hang->($_) for $c, connection();
	$logged = () = audit_lines($t, 'audit.log', $lines);
}), 'hangs: nobody waits for the provider');
is(join(', ', keys %seen), '200 old', 'hangs: everybody has his answer');
is($logged, $lines, 'hangs: and his line in the log');
answers('hang', body => key_set('new'));
ok((poll { $client->($c, 'hang', 'new') eq '200 new' }), 'hangs: what it answers in the end, counts');

SKIP: {
	skip 'no HTTP/2', 4 unless $has_http2;
	my $url = 'http://127.0.0.1:' . port(8082) . '/http2/';
	my @options = (qw/--http2-prior-knowledge -i -H/, "Authorization: Bearer $token{old}", $url);
	like(curl(@options), qr/^HTTP\/2 200 .*old$/s, 'HTTP/2: before');
	my $bad = 0;
	my $asks = sub { $bad++ if curl(@options) !~ /^HTTP\/2 200 / };
	ok($while_hangs->('http2', $asks, $asks), 'HTTP/2: hangs: nobody waits for the provider');
	is($bad, 0, 'HTTP/2: hangs: everybody has his answer');
	answers('http2', body => key_set('new'));
	ok((poll { curl(map { s/\Q$token{old}/$token{new}/r } @options) =~ m!^HTTP/2 200! }),
		'HTTP/2: hangs: what it answers in the end, counts');
}

# it lies

$c = connection();
is($client->($c, 'lies'), '200 old', 'lies: before');
for my $name (sort keys %lies) {
	my $count = asked('lies');
	answers('lies', @{$lies{$name}});
	# Twice, so that the first one has come to an end.
	my $seen = $until_asked->($c, 'lies', $count + 2);
	is($seen, '200 old', "lies, $name: nobody notices");
	is($client->($c, 'lies', 'new') =~ /^(\d+)/ ? $1 : '', 401, "lies, $name: and nothing of it counts");
}
answers('lies', body => key_set('old', 'new'));
ok((poll { $client->($c, 'lies', 'new') eq '200 new' }), 'lies: the truth');

# it dies, while somebody waits

$c = connection();
answers('dies', hold => 1);
$c->send(request('/dies/', "Authorization: Bearer $token{old}"));
asked_soon('dies', 1);
answers('dies', close => 1);
is(status($c->answer()), 503, 'dies: who needs it is told');
answers('dies', body => $good);
ok((poll { $client->($c, 'dies') eq '200 old' }), 'dies: and is back');

###############################################################################

# a worker that is to end doesn't wait for what nobody waits for

%seen = ();
my $gone = 0;
$c = connection();
ok($while_hangs->('exits', sub { $seen{$client->($c, 'exits')}++ }, sub {
	$c->close();
	my ($old) = reload_and_wait($t);
	$gone = poll { !kill 0, $old };
	$c = connection();
}), 'reload: the old worker does not wait for the provider');
ok($gone, 'reload: it is gone');
is(join(', ', keys %seen), '200 old', 'reload: everybody has his answer');
$c->close();

# but for what somebody waits for

answers('left', hold => 1);
my ($leaves, $stays) = map { my $c = connection();
	$c->send(request('/left/', "Authorization: Bearer $token{old}")); $c } 1, 2;
asked_soon('left', 1);
ping();
$leaves->close();
my ($first) = workers($t);
$t->reload();
answers('left', body => $good);
is(status($stays->answer()), 200, 'reload: who waits is answered');

# many questions

poll { workers($t) == 1 && (workers($t))[0] != $first };
$c = connection();
my $many = sub {
	my ($place, $count) = @_;
	my %seen;
	$seen{status($c->ask(request($place, 'Authorization: Bearer opaque'))) // 'none'}++ for 1 .. $count;
	return join ', ', map { "$seen{$_} x $_" } sort keys %seen;
};
my ($pid) = workers($t);
my $memory = sub {
	open my $file, '<', "/proc/$pid/status" or return 0;
	my ($kib) = join('', <$file>) =~ /VmRSS:\s+(\d+)/;
	return $kib;
};
my $files = sub { scalar(() = glob("/proc/$pid/fd/*")) };
is($many->('/opaque/', 300) . ', ' . $many->('/proxied/', 200), '300 x 200, 200 x 200',
	'many questions: answered');
my ($kib, $open) = ($memory->(), $files->());
is($many->('/opaque/', 1000) . ', ' . $many->('/proxied/', 500), '1000 x 200, 500 x 200',
	'many questions: and more');
cmp_ok($memory->() - $kib, '<', 2000, 'many questions: leave no memory behind');
cmp_ok($files->() - $open, '<', 10, 'many questions: and no file');

# nobody is told of what was asked at the end

answers('exits', hold => 1);
my $count = asked('exits');
$leaves = connection();
$leaves->send(request('/exits/', "Authorization: Bearer $token{old}"));
asked_soon('exits', $count + 1);
$t->stop();
pass('stop: with an open question');

is(scalar(grep { !/^\S+ "(?:GET|POST) \/(?!_)/ } split /\n/, $t->read_file('all.log')), 0,
	'no line of a log that is no request of a client');

###############################################################################
