#!/usr/bin/perl

# Where the status page may stand, and what it tells where little is known.

use warnings;
use strict;

use Test::More;

use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get keys_file status /;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy access rewrite/)->plan(17);

$t->write_file('keys.json', keys_file({ key => 'key-admin', client => 'admin', scopes => ['admin'] }));
$t->write_file_expand('nginx.conf', conf(<<'EOC'));

        location /status {
            tollgate_status;
        }

        location /any/ {
            satisfy          any;
            deny             all;
            tollgate         on;
            tollgate_status;
        }

        location /rewritten/ {
            rewrite  ^  /status?limit=0  last;
        }
EOC
$t->run();

my $html = 'Accept: text/html';

my $seen = content_json(get('/status'));
is_deeply($seen->{keys}, [], 'nobody tells of keys');
is($seen->{since}, undef, 'nor since when what is in force');
is($seen->{workers}, 1, 'all else is told: workers');
is(scalar @{$seen->{minutes}}, 61, 'the last hour');
is_deeply($seen->{models}, [], 'no models');
is_deeply($seen->{refusals}, [], 'no refusals');
is_deeply($seen->{clients}{clients}, [], 'no clients');
is($seen->{requests_per_second}, 0, 'no requests a second: those for the page don\'t count');

is(status(get('/any/')), 401, '"satisfy any": nobody');
is(status(get('/any/', 'Authorization: Bearer key-admin')), 200, '"satisfy any": an operator');
is(status(get('/any/', $html)), 403, 'who may have nothing gets no page for browsers either');

is(content_json(get('/rewritten/'))->{clients}{limit}, 0, 'a rewrite leads to it');

###############################################################################

is_refused($t, 'tollgate_status open;', qr/"tollgate_status" takes no "open"/);
is_refused($t, 'proxy_pass http://127.0.0.1:8081; tollgate_status;', qr/answered by another directive already/);
is_refused($t, 'tollgate_metrics; tollgate_status;', qr/answered by another directive already/);
like((configtest($t, conf('tollgate_status;')))[1], qr/"tollgate_status" directive is not allowed here/, 'only in a location');
is((configtest($t, conf('location / { tollgate_status; }')))[0], 0, 'a location of its own');

###############################################################################

sub conf {
	my ($locations) = @_;
	return <<"EOC" =~ s/LOCATIONS/$locations/r;

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone          zone=tollgate:1m;
    tollgate_tier          pro { }
    tollgate_default_tier  pro;
    tollgate_api_keys      keys.json;
    tollgate_status_file   off;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        LOCATIONS
    }
}

EOC
}

sub is_refused {
	my ($t, $directives, $with) = @_;
	my ($status, $output) = configtest($t, conf("location / { $directives }"));
	ok($status != 0 && $output =~ $with, "refused: $directives") or diag($output);
}
