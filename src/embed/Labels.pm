# Enum labels across revisions. PostgreSQL lets a transaction use a label that ALTER TYPE added only
# after a commit, so a run of the chain has to know who adds a label and who uses it first.

package Labels;

use strict;
use warnings;

use Sql;
use Table qw(fail parsed);

# Labels that ALTER TYPE ... ADD VALUE adds to an enum type that an earlier revision created: hashes
# of `type`, `label`, `created_by`, `added_by`, and `used_by`, the first later revision that uses it
# or 0. A label of a new or renamed type, or one that was renamed, can be used at once. Any string
# literal equal to the label counts as a use, outside of function bodies, which run later.
sub added
{
	my ($chain, $facts) = @_;
	my (%created, %labels, @added);
	foreach my $fact (sort { $a->{first} <=> $b->{first} } grep { $_->{kind} eq 'enum' } @$facts)
	{
		my $type = $fact->{name};
		if (defined $created{$type})
		{
			my $migration = $chain->[ $fact->{first} - 1 ];
			push @added,
			  map {
				{   type       => $type,
					label      => $_,
					created_by => $created{$type},
					added_by   => $fact->{first},
					used_by    => 0
				}
			  } grep { !$labels{$type}{$_} and adds($migration, $_) } @{ $fact->{labels} };
		}
		$created{$type} //= $fact->{first};
		$labels{$type}{$_} = 1 foreach @{ $fact->{labels} };
	}
	foreach my $label (@added)
	{
		foreach my $migration (@$chain)
		{
			next if $migration->{number} < $label->{added_by};
			my ($use) = grep { uses($migration->{path}, $_, $label->{label}) }
			  @{ $migration->{statements} } or next;
			fail($migration->{path}, $use->{line},
				"uses label '$label->{label}' of $label->{type}, which the same revision adds: no"
				  . ' transaction can do both')
			  if $migration->{number} == $label->{added_by};
			$label->{used_by} = $migration->{number};
			last;
		}
	}
	return @added;
}

# True if ALTER TYPE ... ADD VALUE of a migration adds the label.
sub adds
{
	my ($migration, $label) = @_;
	my $add = qr/\bADD\s+VALUE\b(?:\s+IF\s+NOT\s+EXISTS\b)?/i;
	foreach my $statement (@{ $migration->{statements} })
	{
		fail($migration->{path}, $statement->{line},
			'a DO block adds a label: write ALTER TYPE ... ADD VALUE IF NOT EXISTS outside of it')
		  if grep { /$add/ } bodies($statement);
		return 1
		  if $statement->{outer} =~ /^ALTER\s+TYPE\b.*$add\s+'\Q$label\E'/is;
	}
	return 0;
}

sub uses
{
	my ($path, $statement, $label) = @_;
	return 0 if $statement->{outer} =~ /^(?:ALTER|CREATE)\s+TYPE\b/i;
	my @texts = ($statement->{outer}, bodies($statement));
	my @literals =
	  parsed($path, $statement->{line}, sub { map { Sql::literals($_) } @texts });
	return grep { $_ eq $label } @literals;
}

# The body of a DO statement, which runs at once.
sub bodies
{
	my ($statement) = @_;
	return map { $_->{text} =~ /^\$\w*\$(.*)\$\w*\$$/s ? $1 : () }
	  grep { $_->{kind} eq 'body' } Sql::tokens($statement->{outer});
}

# Changes of one label to another by a top-level UPDATE: hashes of `revision`, `table`, `column`,
# `before` and `after`. Rows that are alike only afterwards may violate a unique index.
sub changes
{
	my ($chain) = @_;
	my $equals = qr/(?:=|OPERATOR\(pg_catalog\.=\))/;
	my @changes;
	foreach my $migration (@$chain)
	{
		foreach my $statement (@{ $migration->{statements} })
		{
			my $text = $statement->{outer};
			next
			  unless $text =~
			  /^UPDATE\s+(\w+)\s+SET\s+(.*?)\s+WHERE\s+(\w+)\s+$equals\s+'(\w+)'$/s;
			my ($table, $list, $column, $before) = ($1, $2, $3, $4);
			foreach my $item (Sql::items($list))
			{
				push @changes,
				  {
					revision => $migration->{number},
					table    => $table,
					column   => $column,
					before   => $before,
					after    => $1
				  }
				  if $item =~ /^$column\s+=\s+'(\w+)'$/;
			}
		}
	}
	return @changes;
}

1;
